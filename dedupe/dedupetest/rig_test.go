package dedupetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

var errDriver = errors.New("driver: connection reset")

// full store: whatever implements all abilities.
type allStore interface {
	dedupe.Store
	dedupe.Claimer
	dedupe.Reopener
	dedupe.Inspector
	dedupe.Noter
	dedupe.Watermarker
}

// rig is a store behind a driver that can be made to fail: each operation is two driver calls, the
// second of which does the work, for all keys but one if that one is to fail.
type rig struct {
	allStore
	faults *faultPlan
}

type faultPlan struct {
	mu      sync.Mutex
	armed   bool
	n       int
	applied bool
	fired   bool
	refused bool
	silent  bool // refusals go unnoticed
	partial *dedupe.Key
}

func (p *faultPlan) arm(n int, applied bool) func() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.n, p.applied, p.fired = true, n, applied, false
	return p.disarm
}

func (p *faultPlan) disarm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.partial = false, nil
	return p.fired
}

func (p *faultPlan) refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = on
}

func (p *faultPlan) except(key dedupe.Key) func() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial, p.fired = &key, false
	return p.disarm
}

// without is the index of the item that is to fail, or -1.
func (p *faultPlan) without(keys []dedupe.Key) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.partial == nil {
		return -1
	}
	i := slices.Index(keys, *p.partial)
	if i >= 0 {
		p.partial, p.fired = nil, true
	}
	return i
}

func (p *faultPlan) call(do func() error) error {
	pause()
	defer pause()
	p.mu.Lock()
	refused, hit, applied := p.refused, p.armed && p.n == 0, p.applied
	p.n--
	if hit {
		p.armed, p.fired = false, true
	}
	p.mu.Unlock()
	if refused && p.silent {
		return nil
	}
	if refused || hit && !applied {
		return errDriver
	}
	err := do()
	if hit {
		return errDriver
	}
	return err
}

// pause has calls overlap, as they do on their way to a server.
func pause() { time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond) }

// through makes an operation's two driver calls.
func (r rig) through(keys []dedupe.Key, do func(without int) error) error {
	if err := r.faults.call(func() error { return nil }); err != nil {
		return err
	}
	return r.faults.call(func() error {
		i := r.faults.without(keys)
		if err := do(i); err != nil || i < 0 {
			return err
		}
		return errDriver
	})
}

func drop[T any](all []T, i int) []T {
	if i < 0 {
		return all
	}
	return slices.Delete(slices.Clone(all), i, i+1)
}

func keysOf[T any](all []T, key func(T) dedupe.Key) []dedupe.Key {
	keys := make([]dedupe.Key, len(all))
	for i, x := range all {
		keys[i] = key(x)
	}
	return keys
}

func (r rig) Seen(ctx context.Context, keys []dedupe.Key) (rs []dedupe.Record, err error) {
	err = r.through(nil, func(int) error { rs, err = r.allStore.Seen(ctx, keys); return err })
	return rs, err
}

func (r rig) Mark(ctx context.Context, ms []dedupe.Mark) (errs []error, err error) {
	err = r.through(keysOf(ms, func(m dedupe.Mark) dedupe.Key { return m.Key }), func(i int) error {
		errs, err = r.allStore.Mark(ctx, drop(ms, i))
		return err
	})
	return errs, err
}

func (r rig) Claim(ctx context.Context, qs []dedupe.Request) (cs []dedupe.Claim, err error) {
	err = r.through(keysOf(qs, func(q dedupe.Request) dedupe.Key { return q.Key }), func(i int) error {
		cs, err = r.allStore.Claim(ctx, drop(qs, i))
		return err
	})
	return cs, err
}

func (r rig) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) (errs []error, err error) {
	err = r.through(keysOf(cs, func(c dedupe.Claim) dedupe.Key { return c.Key }), func(i int) error {
		errs, err = r.allStore.Extend(ctx, drop(cs, i), lease, ttl)
		return err
	})
	return errs, err
}

func (r rig) Settle(ctx context.Context, ss []dedupe.Settlement) (errs []error, err error) {
	err = r.through(keysOf(ss, func(s dedupe.Settlement) dedupe.Key { return s.Claim.Key }), func(i int) error {
		errs, err = r.allStore.Settle(ctx, drop(ss, i))
		return err
	})
	return errs, err
}

func (r rig) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) (errs []error, err error) {
	err = r.through(keysOf(ns, func(n dedupe.Note) dedupe.Key { return n.Claim.Key }), func(i int) error {
		errs, err = r.allStore.Note(ctx, drop(ns, i), lease, ttl)
		return err
	})
	return errs, err
}

func (r rig) Reopen(ctx context.Context, keys []dedupe.Key) (errs []error, err error) {
	err = r.through(nil, func(int) error { errs, err = r.allStore.Reopen(ctx, keys); return err })
	return errs, err
}

func (r rig) Inspect(ctx context.Context, keys []dedupe.Key) (es []dedupe.Entry, err error) {
	err = r.through(nil, func(int) error { es, err = r.allStore.Inspect(ctx, keys); return err })
	return es, err
}

func (r rig) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (p dedupe.Watermark, err error) {
	err = r.through(nil, func(int) error { p, err = r.allStore.Begin(ctx, group, topic, at); return err })
	return p, err
}

func (r rig) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	return r.through(nil, func(int) error { return r.allStore.Advance(ctx, group, topic, at) })
}

func (r rig) Watermarks(ctx context.Context, group, topic string) (ws []dedupe.Watermark, err error) {
	err = r.through(nil, func(int) error { ws, err = r.allStore.Watermarks(ctx, group, topic); return err })
	return ws, err
}

func (r rig) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (ok bool, err error) {
	err = r.through(nil, func(int) error { ok, err = r.allStore.Replace(ctx, group, topic, was, now); return err })
	return ok, err
}

// rigged is a harness with every ability; broken breaks the store under it, nil leaves it whole.
func rigged(broken func(s *memdedupe.Store) allStore) Harness {
	open := func(t *testing.T, o *memdedupe.Options) Subject {
		t.Helper()
		s, err := memdedupe.New(o)
		if err != nil {
			t.Fatal(err)
		}
		r := rig{allStore: s, faults: &faultPlan{}}
		if broken != nil {
			r.allStore = broken(s)
			_, r.faults.silent = r.allStore.(silent)
		}
		return Subject{
			Store: r, Fault: r.faults.arm, Refuse: r.faults.refuse, Partial: r.faults.except,
			Skewed: func(_ *testing.T, d time.Duration) dedupe.Store {
				if b, ok := r.allStore.(interface {
					skewed(d time.Duration) allStore
				}); ok {
					return b.skewed(d)
				}
				return r
			},
		}
	}
	return Harness{
		New:     func(t *testing.T) Subject { t.Helper(); return open(t, nil) },
		Bounded: func(t *testing.T) Subject { t.Helper(); return open(t, &memdedupe.Options{MaxKeys: 50}) },
		Run:     synctest.Test,
	}
}

func TestRiggedStore(t *testing.T) {
	t.Parallel()
	Run(t, rigged(nil))
}
