package bustest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/faulty"
)

// FaultyBus is a bus whose calls, and those of its sources and deliveries, go as planned.
type FaultyBus struct {
	inner bus.Bus
	plan  faulty.Plan
}

var _ bus.Bus = (*FaultyBus)(nil)

// Faulty wraps a bus.
func Faulty(inner bus.Bus, plan faulty.Plan) *FaultyBus { return &FaultyBus{inner, plan} }

// Publish implements bus.Publisher.
func (b *FaultyBus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	return faulty.Answer(ctx, b.plan, faulty.Publish, func() ([]bus.Receipt, error) { return b.inner.Publish(ctx, events...) })
}

// Topic implements bus.Bus.
func (b *FaultyBus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	return faulty.Answer(ctx, b.plan, faulty.Topic, func() (bus.TopicInfo, error) { return b.inner.Topic(ctx, topic, group, from) })
}

// Find implements bus.Finder.
func (b *FaultyBus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	return faulty.Answer(ctx, b.plan, faulty.Find, func() ([]time.Time, error) {
		f, ok := b.inner.(bus.Finder)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		return f.Find(ctx, at)
	})
}

// Get implements bus.Finder.
func (b *FaultyBus) Get(ctx context.Context, at bus.Position) (bus.Event, error) {
	return faulty.Answer(ctx, b.plan, faulty.Find, func() (bus.Event, error) {
		f, ok := b.inner.(bus.Finder)
		if !ok {
			return bus.Event{}, errors.ErrUnsupported
		}
		return f.Get(ctx, at)
	})
}

// Cursors implements bus.CursorLister. Nothing of it is planned.
func (b *FaultyBus) Cursors(ctx context.Context, group string) ([]bus.Cursor, error) {
	lister, ok := b.inner.(bus.CursorLister)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return lister.Cursors(ctx, group)
}

// Read implements bus.Reader. Nothing of it is planned.
func (b *FaultyBus) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	reader, ok := b.inner.(bus.Reader)
	if !ok {
		return func(yield func(bus.Stored, error) bool) { yield(bus.Stored{}, errors.ErrUnsupported) }
	}
	return reader.Read(ctx, pattern, r)
}

// Subscribe implements bus.Bus.
func (b *FaultyBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	return faulty.Answer(ctx, b.plan, faulty.Subscribe, func() (bus.Source, error) {
		s, err := b.inner.Subscribe(ctx, topic, group, o)
		if err != nil {
			return nil, err
		}
		return &plannedSource{Source: s, plan: b.plan}, nil
	})
}

type plannedSource struct {
	bus.Source
	plan faulty.Plan
}

// Fetch implements bus.Source. What an error after the fact hides is redelivered.
func (s *plannedSource) Fetch(ctx context.Context, max int) ([]*bus.Delivery, error) {
	ds, err := faulty.Answer(ctx, s.plan, faulty.Fetch, func() ([]*bus.Delivery, error) { return s.Source.Fetch(ctx, max) })
	for i, d := range ds {
		wrapped := bus.NewDelivery(d.Event, d.Arrivals, d.At, plannedAnswerer{d, s.plan})
		wrapped.Malformed = d.Malformed
		ds[i] = wrapped
	}
	return ds, err
}

// Info implements bus.Source.
func (s *plannedSource) Info(ctx context.Context) (bus.Info, error) {
	return faulty.Answer(ctx, s.plan, faulty.Info, func() (bus.Info, error) { return s.Source.Info(ctx) })
}

type plannedAnswerer struct {
	inner *bus.Delivery
	plan  faulty.Plan
}

// Answer implements bus.Answerer.
func (s plannedAnswerer) Answer(ctx context.Context, how bus.Answer) error {
	switch {
	case how.Nak:
		return faulty.Act(ctx, s.plan, faulty.Nak, func() error { return s.inner.Nak(ctx, how.After) })
	case how.Reason != "":
		return faulty.Act(ctx, s.plan, faulty.Term, func() error { return s.inner.Term(ctx, how.Reason) })
	}
	return faulty.Act(ctx, s.plan, faulty.Ack, func() error { return s.inner.Ack(ctx) })
}

// Extend implements bus.Answerer.
func (s plannedAnswerer) Extend(ctx context.Context) error {
	return faulty.Act(ctx, s.plan, faulty.Progress, func() error { return s.inner.Extend(ctx) })
}
