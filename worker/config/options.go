package config

import (
	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
)

// Options are the subscription's, for consumer.SubscribeExactlyOnce; all but Drain, which is the worker's. Each call makes a rate limit of its own.
func (s *Subscription) Options() (*consumer.Options, error) {
	o := &consumer.Options{
		Mode: s.Mode, Concurrency: s.Concurrency, MaxUnmarked: s.MaxUnmarked, MaxAttempts: s.Attempts, MaxCrashes: s.Crashes,
		Backoff:  consumer.Backoff{Base: s.Backoff.Initial, Max: s.Backoff.Max},
		RunLimit: s.RunLimit, Lease: s.Lease, AckWait: s.AckWait, TTL: s.TTL, GiveUp: s.GiveUp,
		From: s.Start, FromStream: s.StartStream, DeadLetter: s.DeadLetter, OrderKey: s.orderKey(),
	}
	if s.Rate != (Rate{}) {
		limit, err := flow.NewRate(s.Rate.perSecond(), s.Rate.burst())
		if err != nil {
			return nil, err
		}
		o.Limit = limit
	}
	return o, nil
}

func (s *Subscription) orderKey() func(bus.Event) string {
	switch s.Order {
	case OrderNone:
		return func(bus.Event) string { return "" }
	case OrderTopic:
		one := s.Topic
		return func(bus.Event) string { return one }
	default:
		return nil // the event's key
	}
}
