package outboxtest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// world is an outbox, a bus, and drainers between them.
type world struct {
	*kit

	changed *changes
	bus     *recorder
	n       int
	spies   []*spy
}

func newWorld(k *kit) *world {
	c := newChanges()
	return &world{kit: k, changed: c, bus: newRecorder(c)}
}

// drainer is one that runs.
type drainer struct {
	*outbox.Drainer

	spy  *spy
	stop func() error // ends it, and returns what Run did
}

// start runs a drainer until the end of the test.
func (w *world) start(t *testing.T, o *outbox.Options) *drainer {
	t.Helper()
	return w.startOn(t, w.queue, w.bus, o)
}

func (w *world) startOn(t *testing.T, q outbox.Queue, to bus.Publisher, o *outbox.Options) *drainer {
	t.Helper()
	opts := outbox.Options{}
	if o != nil {
		opts = *o
	}
	w.n++
	opts.Owner = fmt.Sprint("drainer", w.n)
	opts.Logger = slog.New(slog.DiscardHandler)
	if opts.Lease == 0 {
		opts.Lease = w.h.Lease
	}
	if opts.Drain == 0 {
		opts.Drain = w.h.Patience
	}
	s := newSpy(q, w.changed)
	w.spies = append(w.spies, s)
	d, err := outbox.NewDrainer(s, to, &opts)
	if err != nil {
		t.Fatalf("NewDrainer: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	var ending error
	go func() { defer close(ended); ending = d.Run(ctx) }()
	stop := func() error {
		cancel()
		<-ended
		return ending
	}
	t.Cleanup(func() { _ = stop() })
	return &drainer{Drainer: d, spy: s, stop: stop}
}

// killed cuts a drainer off, as if its process were gone: no call of it does anything any more.
func (d *drainer) killed() {
	d.spy.fails(func(call) error { return errFault }, nil)
}

// await waits until something is so; what it asks about changes with calls of the
// store and the bus.
func (w *world) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	timer, look := time.NewTimer(w.h.Patience), time.NewTicker(lookEvery)
	defer timer.Stop()
	defer look.Stop()
	for {
		changed := w.changed.next()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-look.C:
		case <-timer.C:
			t.Fatalf("after %v it has not come to %s", w.h.Patience, what)
		}
	}
}

// lookEvery is how often await looks at what changes after the call has returned that is seen, such
// as the counts of a drainer.
const lookEvery = 50 * time.Millisecond

// awaitCalls waits until a drainer has begun so many more calls.
func (w *world) awaitCalls(t *testing.T, d *drainer, c call, more int) {
	t.Helper()
	n := d.spy.count(c) + more
	w.await(t, fmt.Sprintf("%d more calls of %s", more, c), func() bool { return d.spy.count(c) >= n })
}

// awaitPublished waits until so many events were published.
func (w *world) awaitPublished(t *testing.T, n int) {
	t.Helper()
	timer := time.NewTimer(w.h.Patience)
	defer timer.Stop()
	for last := -1; ; {
		changed := w.changed.next()
		got := w.bus.published()
		if got >= n {
			return
		}
		if got > last { // patience is with what comes to a halt
			last = got
			timer.Reset(w.h.Patience)
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("%d of %d events were published", got, n)
		}
	}
}

// awaitSent waits until nothing is pending, and so many rows were marked.
func (w *world) awaitSent(t *testing.T, n int, ds ...*drainer) {
	t.Helper()
	w.awaitPublished(t, n)
	w.await(t, "all being marked", func() bool {
		for _, d := range ds {
			if s := d.Stats(); s.Unsettled+s.InFlight > 0 {
				return false
			}
		}
		return len(w.walk(t, outbox.Ask{PastDead: true})) == 0
	})
	if w.admin == nil {
		return
	}
	if c, err := w.admin.Count(t.Context()); err != nil || c.Sent != n || c.Pending != 0 {
		t.Fatalf("%+v, %v; want %d sent, none pending", c, err, n)
	}
}

// stoodStill reports whether the store stood still for so long that leases may have been lost: that
// explains repeats, and rows that could not be marked.
func (w *world) stoodStill(t *testing.T) bool {
	t.Helper()
	for _, s := range w.spies {
		if took := s.took(); took > w.h.Lease/3 {
			t.Logf("the store stood still for %v, with leases of %v", took, w.h.Lease)
			return true
		}
	}
	return false
}

// once checks that no event was published twice.
func (w *world) once(t *testing.T) {
	t.Helper()
	if w.stoodStill(t) {
		return
	}
	if again := w.bus.repeats(); len(again) > 0 {
		t.Fatalf("%d events were published again, without a fault that explains it: %q", len(again), again[:min(3, len(again))])
	}
}

// mix adds rows of so many keys, and as many without a key, in an order that mixes them.
func (w *world) mix(t *testing.T, keys, each int) (names []string) {
	t.Helper()
	var rows []outbox.Row
	for k := range keys {
		names = append(names, fmt.Sprint("key", k))
	}
	for i := range each {
		for _, key := range names {
			rows = append(rows, row(key, fmt.Sprintf("%s-%06d", key, i)))
		}
		rows = append(rows, row("", fmt.Sprintf("none-%06d", i)))
	}
	w.add(t, rows...)
	return names
}
