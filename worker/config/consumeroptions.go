package config

import (
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/jsonobject"
)

// Options are the subscription's, for consumer.SubscribeExactlyOnce; all but Drain, which is the
// worker's. Each call makes a rate limit of its own. A limit that is shared, a breaker, and a
// concurrency that is adjusted are left to whoever has the stores and the group: Limit is nil, and
// Concurrency is the most.
func (s *Subscription) Options() (*consumer.Options, error) {
	o := &consumer.Options{
		Mode: s.Mode, Concurrency: s.Concurrency.Max, MaxUnmarked: s.MaxUnmarked, MaxAttempts: s.Attempts, MaxCrashes: s.Crashes,
		Backoff:  consumer.Backoff{Base: s.Backoff.Base, Max: s.Backoff.Max},
		RunLimit: s.RunLimit, Lease: s.Lease, AckWait: s.AckWait, TTL: s.TTL, GiveUp: s.GiveUp,
		From: s.Start, FromStream: s.StartStream, DeadLetter: s.DeadLetter, Order: s.Order,
		ID: s.idFunc(), Fingerprint: s.fingerprintFunc(),
	}
	if s.ID != "" {
		o.IDSource = "the member " + s.ID + " of the payload"
	}
	if s.Rate == nil {
		return o, nil
	}
	o.LimitKey, o.LimitQueue, o.LimitWait = s.Rate.limitKeyFunc(), s.Rate.Queue, s.Rate.MaxWait
	var err error
	o.Limit, err = s.Rate.newLimiter()
	return o, err
}

// ShortestLease is the shortest lease or ack deadline of subscriptions. Zero: none says any.
func ShortestLease(subscriptions []Subscription) (shortest time.Duration) {
	for i := range subscriptions {
		for _, d := range []time.Duration{subscriptions[i].Lease, subscriptions[i].AckWait} {
			if d > 0 && (shortest == 0 || d < shortest) {
				shortest = d
			}
		}
	}
	return shortest
}

// idFunc is the member of the payload that the file names. An event without it has none, and
// is dead-lettered.
func (s *Subscription) idFunc() func(bus.Event) string {
	if s.ID == "" {
		return nil // the event's own
	}
	path := strings.Split(s.ID, ".")
	return func(e bus.Event) string {
		id, err := jsonobject.Text(e.Data, path...)
		if err != nil {
			return ""
		}
		return id
	}
}

func (s *Subscription) fingerprintFunc() func(bus.Event) []byte {
	switch s.Fingerprint {
	case FingerprintJSON:
		return consumer.CanonicalJSON
	case FingerprintNone:
		return consumer.NoFingerprint
	default:
		return consumer.Bytes
	}
}
