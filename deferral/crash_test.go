package deferral_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/group"
)

// process is a process that can crash: from then on it reaches neither bus nor store, and has no
// effects.
type process struct {
	dead atomic.Bool
	mu   sync.Mutex
	// at crashes the process right before or after a step, such as "publish", with the count of
	// steps of that name; nil: nothing does.
	at func(step string, after bool, n int) bool

	steps  map[string]int
	frozen chan struct{} // closed when it goes on; nil: it is not frozen
}

// freeze has the process make no more calls, and get no more answers, until it is thawed.
func (p *process) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

func (p *process) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// awaitThaw blocks while the process is frozen, and reports whether it was.
func (p *process) awaitThaw() (was bool) {
	for {
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen == nil {
			return was
		}
		<-frozen
		was = true
	}
}

var errCrashed = errors.New("the process has crashed")

// step makes a call, unless the process is dead; the answer is lost if it dies after it.
func step[A any](p *process, name string, call func() (A, error)) (a A, err error) {
	p.awaitThaw()
	defer p.awaitThaw()
	p.mu.Lock()
	if p.steps == nil {
		p.steps = make(map[string]int)
	}
	p.steps[name]++
	n, at := p.steps[name], p.at
	p.mu.Unlock()
	if p.dead.Load() || at != nil && at(name, false, n) && !p.dead.Swap(true) {
		return a, errCrashed
	}
	got, err := call()
	if p.dead.Load() || at != nil && at(name, true, n) && !p.dead.Swap(true) {
		return a, errCrashed
	}
	return got, err
}

type processBus struct {
	*process

	inner *membus.Bus
}

func (b *processBus) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	return step(b.process, "publish "+es[0].Topic, func() ([]bus.Receipt, error) { return b.inner.Publish(ctx, es...) })
}

func (b *processBus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	return step(b.process, "topic", func() (bus.TopicInfo, error) { return b.inner.Topic(ctx, topic, group, from) })
}

func (b *processBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := step(b.process, "subscribe", func() (bus.Source, error) { return b.inner.Subscribe(ctx, topic, group, o) })
	return &processSource{b.process, s}, err
}

func (b *processBus) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		for s, err := range b.inner.Read(ctx, pattern, r) {
			b.awaitThaw()
			if b.dead.Load() {
				yield(bus.Stored{}, errCrashed)
				return
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

func (b *processBus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	return step(b.process, "find", func() ([]time.Time, error) { return b.inner.Find(ctx, at) })
}

func (b *processBus) Get(ctx context.Context, at bus.Position) (bus.Event, error) {
	return step(b.process, "get", func() (bus.Event, error) { return b.inner.Get(ctx, at) })
}

type processSource struct {
	*process

	inner bus.Source
}

func (s *processSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	s.awaitThaw()
	defer s.awaitThaw()
	if s.dead.Load() {
		return nil, bus.ErrClosed
	}
	ds, err := s.inner.Fetch(ctx, most)
	if s.dead.Load() { // what was handed over is lost with the process
		return nil, bus.ErrClosed
	}
	out := make([]*bus.Delivery, len(ds))
	for i, d := range ds {
		out[i] = bus.NewDelivery(d.Event, d.Arrivals, d.At, &processAnswerer{s.process, d})
		out[i].ServerMessage, out[i].Malformed = d.ServerMessage, d.Malformed
	}
	return out, err
}

func (s *processSource) Info(ctx context.Context) (bus.Info, error) {
	return step(s.process, "info", func() (bus.Info, error) { return s.inner.Info(ctx) })
}
func (s *processSource) Healthy() error                  { return s.inner.Healthy() }
func (s *processSource) Close(ctx context.Context) error { return s.inner.Close(ctx) }

type processAnswerer struct {
	*process

	of *bus.Delivery
}

func (a *processAnswerer) Answer(ctx context.Context, answer bus.Answer) error {
	_, err := step(a.process, "answer", func() (struct{}, error) {
		if answer.Nak {
			return struct{}{}, a.of.Nak(ctx, answer.After)
		}
		return struct{}{}, a.of.Ack(ctx)
	})
	return err
}

func (a *processAnswerer) Extend(ctx context.Context) error {
	_, err := step(a.process, "extend ack wait", func() (struct{}, error) { return struct{}{}, a.of.Extend(ctx) })
	return err
}

type processStore struct {
	*process

	inner *memdedupe.Store
}

func (s *processStore) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	return step(s.process, "seen", func() ([]dedupe.Record, error) { return s.inner.Seen(ctx, keys) })
}

func (s *processStore) Mark(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
	return step(s.process, "mark", func() ([]error, error) { return s.inner.Mark(ctx, ms) })
}

func (s *processStore) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	return step(s.process, "claim", func() ([]dedupe.Claim, error) { return s.inner.Claim(ctx, rs) })
}

func (s *processStore) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	return step(s.process, "extend", func() ([]error, error) { return s.inner.Extend(ctx, cs, lease, ttl) })
}

func (s *processStore) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return step(s.process, "settle", func() ([]error, error) { return s.inner.Settle(ctx, ss) })
}

func (s *processStore) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	return step(s.process, "note", func() ([]error, error) { return s.inner.Note(ctx, ns, lease, ttl) })
}

func (s *processStore) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	return step(s.process, "watermarks", func() ([]dedupe.Watermark, error) { return s.inner.Watermarks(ctx, group, topic) })
}

func (s *processStore) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	return step(s.process, "begin", func() (dedupe.Watermark, error) { return s.inner.Begin(ctx, group, topic, at) })
}

func (s *processStore) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	_, err := step(s.process, "advance", func() (struct{}, error) { return struct{}{}, s.inner.Advance(ctx, group, topic, at) })
	return err
}

func (s *processStore) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	return step(s.process, "replace", func() (bool, error) { return s.inner.Replace(ctx, group, topic, was, now) })
}

type processGroup struct {
	*process

	inner group.Store
}

func (s *processGroup) TTL() time.Duration { return s.inner.TTL() }

func (s *processGroup) List(ctx context.Context, space group.Space, name string) (group.Listing, error) {
	return step(s.process, "list members", func() (group.Listing, error) { return s.inner.List(ctx, space, name) })
}

func (s *processGroup) Put(ctx context.Context, space group.Space, name, key string, data []byte, expect uint64) (uint64, error) {
	return step(s.process, "put member", func() (uint64, error) { return s.inner.Put(ctx, space, name, key, data, expect) })
}

func (s *processGroup) Delete(ctx context.Context, space group.Space, name, key string) error {
	_, err := step(s.process, "delete member", func() (struct{}, error) { return struct{}{}, s.inner.Delete(ctx, space, name, key) })
	return err
}

func (s *processGroup) Watch(ctx context.Context, name string, changed func()) error {
	return s.inner.Watch(ctx, name, changed)
}

// workIn starts a worker in a process that can crash. Its handlers have no effects once it is dead.
func (w *world) workIn(p *process, o workerOptions) workerOptions {
	o.bus, o.store = &processBus{p, w.bus}, &processStore{p, w.store}
	if o.handler == nil {
		o.handler = w.run
	}
	if o.sum == nil {
		o.sum = w.sum
	}
	run, sum := o.handler, o.sum
	o.handler = func(ctx context.Context, e bus.Event) error {
		if p.dead.Load() {
			return errCrashed
		}
		return run(ctx, e)
	}
	o.sum = func(ctx context.Context, key string, es []bus.Event) error {
		if p.dead.Load() {
			return errCrashed
		}
		return sum(ctx, key, es)
	}
	return o
}
