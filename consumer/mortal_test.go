package consumer_test

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
)

var errCut = errors.New("not reached")

// mortalGroups is the store of groups as a process reaches it.
type mortalGroups struct {
	store *memgroup.Store
	p     *fleetProcess
}

func (g *mortalGroups) check(ctx context.Context) error {
	g.p.mute.RLock()
	defer g.p.mute.RUnlock()
	if g.p.dead.Load() || g.p.cut.Load() {
		return errCut
	}
	return context.Cause(ctx)
}

func (g *mortalGroups) TTL() time.Duration { return g.store.TTL() }

func (g *mortalGroups) List(ctx context.Context, space group.Space, name string) (group.Listing, error) {
	if err := g.check(ctx); err != nil {
		return group.Listing{}, err
	}
	return g.store.List(ctx, space, name)
}

func (g *mortalGroups) Put(ctx context.Context, space group.Space, name, key string, data []byte, expect uint64) (uint64, error) {
	if err := g.check(ctx); err != nil {
		return 0, err
	}
	return g.store.Put(ctx, space, name, key, data, expect)
}

func (g *mortalGroups) Delete(ctx context.Context, space group.Space, name, key string) error {
	if err := g.check(ctx); err != nil {
		return err
	}
	return g.store.Delete(ctx, space, name, key)
}

func (g *mortalGroups) Watch(ctx context.Context, name string, changed func()) error {
	if err := g.check(ctx); err != nil {
		return err
	}
	return g.store.Watch(ctx, name, func() {
		if g.check(ctx) == nil {
			changed()
		}
	})
}

// mortalStore is the dedupe store as a process reaches it.
type mortalStore struct {
	store *memdedupe.Store
	p     *fleetProcess
}

func (s *mortalStore) check() error {
	if s.p.dead.Load() {
		return errCut
	}
	return nil
}

func (s *mortalStore) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.store.Seen(ctx, keys)
}

func (s *mortalStore) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.store.Mark(ctx, marks)
}

func (s *mortalStore) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.store.Claim(ctx, rs)
}

func (s *mortalStore) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.store.Extend(ctx, cs, lease, ttl)
}

func (s *mortalStore) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.store.Settle(ctx, ss)
}

func (s *mortalStore) Watermarks(ctx context.Context, name, topic string) ([]dedupe.Watermark, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.store.Watermarks(ctx, name, topic)
}

func (s *mortalStore) Begin(ctx context.Context, name, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	if err := s.check(); err != nil {
		return at, err
	}
	return s.store.Begin(ctx, name, topic, at)
}

func (s *mortalStore) Advance(ctx context.Context, name, topic string, at dedupe.Watermark) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.store.Advance(ctx, name, topic, at)
}

func (s *mortalStore) Replace(ctx context.Context, name, topic string, was, now dedupe.Watermark) (bool, error) {
	if err := s.check(); err != nil {
		return false, err
	}
	return s.store.Replace(ctx, name, topic, was, now)
}

// mortalBus is the bus as a process reaches it.
type mortalBus struct {
	bus *membus.Bus
	p   *fleetProcess
}

func (b *mortalBus) check() error {
	if b.p.dead.Load() {
		return errCut
	}
	return nil
}

func (b *mortalBus) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	return b.bus.Publish(ctx, es...)
}

func (b *mortalBus) Topic(ctx context.Context, topic, name string, from bus.Start) (bus.TopicInfo, error) {
	if err := b.check(); err != nil {
		return bus.TopicInfo{}, err
	}
	return b.bus.Topic(ctx, topic, name, from)
}

func (b *mortalBus) Subscribe(ctx context.Context, topic, name string, o *bus.SubscribeOptions) (bus.Source, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	s, err := b.bus.Subscribe(ctx, topic, name, o)
	return &mortalSource{s, b.p}, err
}

func (b *mortalBus) Cursors(ctx context.Context, name string) ([]bus.Cursor, error) {
	return b.bus.Cursors(ctx, name)
}

func (b *mortalBus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	return b.bus.Find(ctx, at)
}

func (b *mortalBus) FindNext(ctx context.Context, pattern string, after bus.Position) (bus.Position, error) {
	return b.bus.FindNext(ctx, pattern, after)
}

func (b *mortalBus) Get(ctx context.Context, at bus.Position) (bus.Event, error) {
	return b.bus.Get(ctx, at)
}

func (b *mortalBus) FindLayouts(ctx context.Context, topic string, in bus.Position) ([]int, error) {
	return b.bus.FindLayouts(ctx, topic, in)
}

type mortalSource struct {
	source bus.Source
	p      *fleetProcess
}

func (s *mortalSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	if s.p.dead.Load() {
		return nil, errCut
	}
	ds, err := s.source.Fetch(ctx, most)
	for i, d := range ds {
		ds[i] = bus.NewDelivery(d.Event, d.Arrivals, d.At, &mortalAnswers{d, s.p})
		ds[i].Malformed, ds[i].ServerMessage = d.Malformed, d.ServerMessage
	}
	if s.p.dead.Load() {
		return nil, errCut // what was delivered to it is lost
	}
	return ds, err
}

func (s *mortalSource) Info(ctx context.Context) (bus.Info, error) {
	if s.p.dead.Load() {
		return bus.Info{}, errCut
	}
	return s.source.Info(ctx)
}

func (s *mortalSource) Healthy() error { return s.source.Healthy() }

func (s *mortalSource) Close(ctx context.Context) error { return s.source.Close(ctx) }

type mortalAnswers struct {
	d *bus.Delivery
	p *fleetProcess
}

func (a *mortalAnswers) Answer(ctx context.Context, what bus.Answer) error {
	switch {
	case a.p.dead.Load():
		return errCut
	case what.Nak:
		return a.d.Nak(ctx, what.After)
	}
	return a.d.Ack(ctx)
}

func (a *mortalAnswers) Extend(ctx context.Context) error {
	if a.p.dead.Load() {
		return errCut
	}
	return a.d.Extend(ctx)
}
