package faulty

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
)

// Bus is a bus whose calls, and those of its sources and deliveries, go as planned.
type Bus struct {
	inner bus.Bus
	plan  Plan
}

var _ bus.Bus = (*Bus)(nil)

// NewBus wraps a bus.
func NewBus(inner bus.Bus, plan Plan) *Bus { return &Bus{inner, plan} }

// Publish implements bus.Publisher.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	return do(ctx, b.plan, Publish, func() ([]bus.Receipt, error) { return b.inner.Publish(ctx, events...) })
}

// Topic implements bus.Bus.
func (b *Bus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	return do(ctx, b.plan, Topic, func() (bus.TopicInfo, error) { return b.inner.Topic(ctx, topic, group, from) })
}

// Find implements bus.Finder.
func (b *Bus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	return do(ctx, b.plan, Find, func() ([]time.Time, error) {
		f, ok := b.inner.(bus.Finder)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		return f.Find(ctx, at)
	})
}

// Get implements bus.Finder.
func (b *Bus) Get(ctx context.Context, at bus.Position) (bus.Event, error) {
	return do(ctx, b.plan, Find, func() (bus.Event, error) {
		f, ok := b.inner.(bus.Finder)
		if !ok {
			return bus.Event{}, errors.ErrUnsupported
		}
		return f.Get(ctx, at)
	})
}

// Subscribe implements bus.Bus.
func (b *Bus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	return do(ctx, b.plan, Subscribe, func() (bus.Source, error) {
		s, err := b.inner.Subscribe(ctx, topic, group, o)
		if err != nil {
			return nil, err
		}
		return &source{Source: s, plan: b.plan}, nil
	})
}

type source struct {
	bus.Source
	plan Plan
}

// Fetch implements bus.Source. What an error after the fact hides comes again.
func (s *source) Fetch(ctx context.Context, max int) ([]*bus.Delivery, error) {
	ds, err := do(ctx, s.plan, Fetch, func() ([]*bus.Delivery, error) { return s.Source.Fetch(ctx, max) })
	for i, d := range ds {
		wrapped := bus.NewDelivery(d.Event, d.Arrivals, d.At, settler{d, s.plan})
		wrapped.Malformed = d.Malformed
		ds[i] = wrapped
	}
	return ds, err
}

// Info implements bus.Source.
func (s *source) Info(ctx context.Context) (bus.Info, error) {
	return do(ctx, s.plan, Info, func() (bus.Info, error) { return s.Source.Info(ctx) })
}

type settler struct {
	inner *bus.Delivery
	plan  Plan
}

// Settle implements bus.Settler.
func (s settler) Settle(ctx context.Context, how bus.Settlement) error {
	switch {
	case how.Nak:
		return act(ctx, s.plan, Nak, func() error { return s.inner.Nak(ctx, how.After) })
	case how.Reason != "":
		return act(ctx, s.plan, Term, func() error { return s.inner.Term(ctx, how.Reason) })
	}
	return act(ctx, s.plan, Ack, func() error { return s.inner.Ack(ctx) })
}

// Extend implements bus.Settler.
func (s settler) Extend(ctx context.Context) error {
	return act(ctx, s.plan, Progress, func() error { return s.inner.Extend(ctx) })
}
