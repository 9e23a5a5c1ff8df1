package outboxtest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// losing is what happens when drainers die, or lose their partitions.
func losing(able *kit) []promise {
	return []promise{
		{name: "Killed/between publishing and marking", keeps: killedBeforeMarking},
		{name: "Killed/between lease and publishing", keeps: killedBeforePublishing},
		{name: "Lease/a holder past its lease starts no publication", keeps: stopsPastLease},
		{name: "Lease/a frozen drainer and its successor", keeps: frozen},
		{name: "Lease/what is on its way is finished before its partition is given back", keeps: finishesFirst},
		{name: "Lease/what was read before a partition was lost is not published after", keeps: forgets},
		{name: "Lease/clocks that are off", keeps: drainsSkewed, unless: able.s.Skewed == nil},
	}
}

func killedBeforeMarking(t *testing.T, k *kit) {
	w := newWorld(k)
	a := w.start(t, &outbox.Options{Drain: w.h.Lease}) // as it is killed, it takes all of that
	a.spy.fails(func(c call) error {
		if c == settle {
			a.killed()
			return errFault
		}
		return nil
	}, nil)
	keys := w.mix(t, 5, 20)
	w.await(t, "the first being killed", func() bool { return a.spy.count(settle) > 0 })
	b := w.start(t, nil)
	w.awaitSent(t, 120, b)
	w.bus.ordered(t, keys...)
	if len(w.bus.repeats()) == 0 {
		t.Error("nothing was published again, and nothing was marked: what is tested here did not happen")
	}
}

func killedBeforePublishing(t *testing.T, k *kit) {
	w := newWorld(k)
	keys := w.mix(t, 5, 20)
	a := w.startOn(t, w.queue, deaf{}, &outbox.Options{Drain: w.h.Lease}) // what it publishes never leaves
	w.await(t, "the first having all", func() bool { return a.Stats().InFlight > 0 })
	a.killed()
	b := w.start(t, nil)
	w.awaitSent(t, 120, b)
	w.bus.ordered(t, keys...)
	w.once(t)
}

// deaf is a bus that answers nothing.
type deaf struct{}

// Publish implements bus.Publisher.
func (deaf) Publish(ctx context.Context, _ ...bus.Event) ([]bus.Receipt, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// The store can no longer be reached for renewing, and everything else works.
func stopsPastLease(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = w.h.Lease / 100
	w.add(t, rowsOf("k", 400)...)
	a := w.start(t, nil)
	w.awaitPublished(t, 10)
	before := time.Now()
	a.spy.fails(func(c call) error {
		if c == acquire {
			return errFault
		}
		return nil
	}, nil)
	k.h.Wait(t, w.h.Lease*2)
	if last := w.bus.last(); last.After(before.Add(w.h.Lease * 3 / 2)) { // it is noted a little after it begins
		t.Errorf("the last publication began %v after the lease could no longer be renewed; the lease was %v", last.Sub(before), w.h.Lease)
	}
	if n := w.bus.published(); n == 400 {
		t.Error("all was published before the lease was over: what is tested here did not happen")
	}
	if a.Healthy() == nil {
		t.Error("a drainer without its leases is healthy")
	}
	a.spy.fails(nil, nil)
	w.awaitSent(t, 400, a)
	w.bus.ordered(t, "k")
	w.once(t)
}

// A publication that hangs until long after the lease is over can repeat one event, and
// precede none.
func frozen(t *testing.T, k *kit) {
	w := newWorld(k)
	keys := w.mix(t, 5, 20)
	slow := newFrozenBus(w.bus)
	a := w.startOn(t, w.queue, slow, nil)
	<-slow.frozen
	a.killed()
	b := w.start(t, nil)
	w.awaitSent(t, 120, b)
	close(slow.thaw)
	a.spy.fails(nil, nil)
	w.await(t, "the frozen one going on", func() bool { return slow.done.Load() })
	n := w.mixMore(t, keys, 20, 40)
	w.awaitSent(t, 120+n, a, b)
	w.bus.ordered(t, keys...)
	if again := len(w.bus.repeats()); again > 4*500 || again == 0 {
		t.Errorf("%d events were published again; at most those that were in flight may", again)
	}
}

// frozenBus holds its first calls until it thaws.
type frozenBus struct {
	to     bus.Publisher
	thaw   chan struct{}
	frozen chan struct{}
	once   sync.Once
	done   atomic.Bool
}

func newFrozenBus(to bus.Publisher) *frozenBus {
	return &frozenBus{to: to, thaw: make(chan struct{}), frozen: make(chan struct{})}
}

// Publish implements bus.Publisher.
func (f *frozenBus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	f.once.Do(func() { close(f.frozen) })
	<-f.thaw
	defer f.done.Store(true)
	return f.to.Publish(ctx, events...)
}

// The bus answers when the first drainer has heard that another waits, has had the time to give
// back, and the other has asked again after that. That takes most of two renewals of the first
// one's lease, so that lease is long: one that is over would explain repeats.
func finishesFirst(t *testing.T, k *kit) {
	w := newWorld(k)
	slow := newFrozenBus(w.bus)
	keys := w.mix(t, 10, 2)
	a := w.startOn(t, w.queue, slow, &outbox.Options{Lease: w.h.Lease * 6})
	w.await(t, "everything being on its way", func() bool { return a.Stats().InFlight > 10 })
	b := w.start(t, nil)
	w.await(t, "the first hearing that another waits", func() bool { return a.Stats().Ending > 0 })
	w.awaitCalls(t, a, acquire, 1)
	w.awaitCalls(t, b, acquire, 2) // when the second one begins, the first one is answered
	close(slow.thaw)
	w.awaitSent(t, 22, a, b)
	w.await(t, "the second one having partitions", func() bool { return b.Stats().Partitions > 0 })
	n := w.mixMore(t, keys, 2, 20)
	w.awaitSent(t, 22+n, a, b)
	w.bus.ordered(t, keys...)
	w.once(t)
	if x, y := a.Stats(), b.Stats(); x.Lost+x.Fenced+y.Lost+y.Fenced != 0 && !w.stoodStill(t) || y.Sent == 0 {
		t.Errorf("stats %+v and %+v", x, y)
	}
}

// One drainer has rows, and a page on its way, when another one takes its partitions, publishes
// all, and gives them back.
func forgets(t *testing.T, k *kit) {
	w := newWorld(k)
	away := &gate{to: w.bus}
	a := w.startOn(t, w.queue, away, &outbox.Options{MaxRows: 100})
	keys := w.mix(t, 5, 20)
	w.await(t, "the first having rows", func() bool { return a.Stats().Rows > 10 })
	open := make(chan struct{})
	renewing := func(c call) error {
		if c == acquire {
			return errFault
		}
		return nil
	}
	a.spy.fails(renewing, func(c call) error {
		if c == pending {
			<-open
		}
		return nil
	})
	w.add(t, rowsOf("new", 10)...)
	a.Notify()
	b := w.start(t, nil)
	w.awaitSent(t, 130, b)
	if err := b.stop(); err != nil {
		t.Fatalf("Run: %v", err)
	}
	a.spy.fails(nil, nil)
	w.await(t, "the first having them again", func() bool { s := a.Stats(); return s.Partitions == Partitions && s.Rows == 0 })
	close(open)
	away.open.Store(true)
	w.add(t, row("", "last"))
	w.awaitSent(t, 131, a)
	w.bus.ordered(t, append(keys, "new")...)
	w.once(t)
}

// gate is a bus that is away until it opens.
type gate struct {
	to   bus.Publisher
	open atomic.Bool
}

// Publish implements bus.Publisher.
func (g *gate) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	if !g.open.Load() {
		return nil, errTimeout
	}
	return g.to.Publish(ctx, events...)
}

func drainsSkewed(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = time.Millisecond
	keys := w.mix(t, 10, 10)
	var ds []*drainer
	for _, skew := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute} {
		ds = append(ds, w.startOn(t, k.s.Skewed(t, skew), w.bus, nil))
	}
	w.await(t, "all having partitions", func() bool {
		for _, d := range ds {
			if s := d.Stats(); s.Partitions < Partitions/3 || s.Ending > 0 {
				return false
			}
		}
		return true
	})
	n := w.mixMore(t, keys, 10, 40)
	w.awaitSent(t, 110+n, ds...)
	w.bus.ordered(t, keys...)
	w.once(t)
}
