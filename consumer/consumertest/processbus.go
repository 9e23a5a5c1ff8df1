package consumertest

import (
	"bytes"
	"context"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

// processBus is the bus as a process reaches it.
type processBus struct {
	p     *process
	inner *membus.Bus
}

// Publish implements bus.Publisher.
func (b *processBus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	return guardCall(b.p, bus.ErrClosed, func() ([]bus.Receipt, error) { return b.inner.Publish(ctx, events...) })
}

// Topic implements bus.Bus.
func (b *processBus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	return guardCall(b.p, bus.ErrClosed, func() (bus.TopicInfo, error) { return b.inner.Topic(ctx, topic, group, from) })
}

// Find implements bus.Finder.
func (b *processBus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	return guardCall(b.p, bus.ErrClosed, func() ([]time.Time, error) { return b.inner.Find(ctx, at) })
}

// Get implements bus.Finder.
func (b *processBus) Get(ctx context.Context, at bus.Position) (bus.Event, error) {
	return guardCall(b.p, bus.ErrClosed, func() (bus.Event, error) { return b.inner.Get(ctx, at) })
}

// Cursors implements bus.CursorLister.
func (b *processBus) Cursors(ctx context.Context, group string) ([]bus.Cursor, error) {
	return guardCall(b.p, bus.ErrClosed, func() ([]bus.Cursor, error) { return b.inner.Cursors(ctx, group) })
}

// Subscribe implements bus.Bus.
func (b *processBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	return guardCall(b.p, bus.ErrClosed, func() (bus.Source, error) {
		s, err := b.inner.Subscribe(ctx, topic, group, o)
		if err != nil {
			return nil, err
		}
		return &processSource{b.p, s}, nil
	})
}

// processSource is a source as a process reaches it.
type processSource struct {
	p     *process
	inner bus.Source
}

// Fetch implements bus.Source. What a halted process has fetched is redelivered.
func (s *processSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := guardCall(s.p, bus.ErrClosed, func() ([]*bus.Delivery, error) { return s.inner.Fetch(ctx, most) })
	for i, d := range ds {
		ds[i] = bus.NewDelivery(cloneEvent(d.Event), d.Arrivals, d.At, processAnswerer{s.p, d})
		ds[i].Malformed, ds[i].ServerMessage = d.Malformed, d.ServerMessage
	}
	return ds, err
}

// cloneEvent returns an event which the handler can change without changing its redeliveries.
func cloneEvent(e bus.Event) bus.Event {
	e.Data = bytes.Clone(e.Data)
	if e.Headers != nil {
		e.Headers = e.Headers.Clone()
	}
	return e
}

// Info implements bus.Source.
func (s *processSource) Info(ctx context.Context) (bus.Info, error) {
	return guardCall(s.p, bus.ErrClosed, func() (bus.Info, error) { return s.inner.Info(ctx) })
}

// Healthy implements bus.Source.
func (s *processSource) Healthy() error { return s.inner.Healthy() }

// Close implements bus.Source.
func (s *processSource) Close(ctx context.Context) error {
	return guardAct(s.p, bus.ErrClosed, func() error { return s.inner.Close(ctx) })
}

// processAnswerer answers a delivery for a process.
type processAnswerer struct {
	p     *process
	inner *bus.Delivery
}

// Answer implements bus.Answerer.
func (a processAnswerer) Answer(ctx context.Context, how bus.Answer) error {
	w := a.p.world
	isAck := !how.Nak && how.Reason == ""
	return guardAct(a.p, bus.ErrClosed, func() error {
		if isAck && w.losesAck(a.inner.At.Sequence) {
			return nil
		}
		err := a.forward(ctx, how)
		w.signalAnswer()
		if isAck && err == nil {
			err = a.p.reach(step{kind: afterAck, event: w.labelAt(a.inner.At.Sequence)})
		}
		return err
	})
}

func (a processAnswerer) forward(ctx context.Context, how bus.Answer) error {
	switch {
	case how.Nak:
		return a.inner.Nak(ctx, how.After)
	case how.Reason != "":
		return a.inner.Term(ctx, how.Reason)
	}
	return a.inner.Ack(ctx)
}

// Extend implements bus.Answerer.
func (a processAnswerer) Extend(ctx context.Context) error {
	return guardAct(a.p, bus.ErrClosed, func() error { return a.inner.Extend(ctx) })
}
