package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// plain is a queue without further abilities, whose calls are counted, and may fail.
type plain struct {
	outbox.Queue

	reads, renewals atomic.Int64
	broken          atomic.Bool
}

var errBroken = errors.New("the store is away")

func (p *plain) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	p.reads.Add(1)
	return p.Queue.Pending(ctx, a)
}

func (p *plain) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	p.renewals.Add(1)
	return p.Queue.Acquire(ctx, owner, lease)
}

func (p *plain) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	if p.broken.Load() {
		return nil, errBroken
	}
	return p.Queue.Settle(ctx, rs)
}

// timed is a bus that notes when events came.
type timed struct {
	bus.Publisher

	mu   sync.Mutex
	came map[string]time.Time
}

func (p *timed) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	p.mu.Lock()
	for i := range events {
		p.came[events[i].ID] = time.Now()
	}
	p.mu.Unlock()
	return p.Publisher.Publish(ctx, events...)
}

func (p *timed) at(id string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.came[id]
}

type world struct {
	store *memoutbox.Queue
	bus   *timed
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := memoutbox.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &world{store, &timed{Publisher: to, came: map[string]time.Time{}}}
}

func (w *world) add(t *testing.T, id string) time.Time {
	t.Helper()
	if _, err := w.store.Add(t.Context(), bus.Event{ID: id, Topic: "a"}); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// run runs a drainer in this bubble, and returns what stops it.
func run(t *testing.T, q outbox.Queue, to bus.Publisher, o *outbox.Options) (*outbox.Drainer, func() error) {
	t.Helper()
	if o == nil {
		o = &outbox.Options{}
	}
	o.Logger = slog.New(slog.DiscardHandler)
	d, err := outbox.NewDrainer(q, to, o)
	if err != nil {
		t.Fatal(err)
	}
	start, stop := d.Actor()
	ended := make(chan error, 1)
	go func() { ended <- start() }()
	return d, func() error {
		stop(nil)
		return <-ended
	}
}

// An idle drainer asks once a second, and renews its leases.
func TestIdleCostsNextToNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := &plain{Queue: w.store}
		_, stop := run(t, q, w.bus, nil)
		time.Sleep(10 * time.Second)
		reads, renewals := q.reads.Load(), q.renewals.Load()
		time.Sleep(100 * time.Second)
		reads, renewals = q.reads.Load()-reads, q.renewals.Load()-renewals
		if reads > 101 || renewals > 31 {
			t.Errorf("in 100 s of idleness: %d reads, %d renewals; want at most 101 and 31", reads, renewals)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestWaking(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		watched, notified bool
		most              time.Duration
	}{
		"by the store": {watched: true, most: 0},
		"by Notify":    {notified: true, most: 0},
		"by polling":   {most: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var q outbox.Queue = w.store
				if !c.watched {
					q = &plain{Queue: w.store}
				}
				d, stop := run(t, q, w.bus, nil)
				for i := range 10 {
					time.Sleep(time.Minute + time.Duration(i)*99*time.Millisecond)
					id := fmt.Sprint(i)
					added := w.add(t, id)
					if c.notified {
						d.Notify()
					}
					time.Sleep(2 * time.Second)
					if at := w.bus.at(id); at.IsZero() || at.Sub(added) > c.most {
						t.Errorf("published %v after it was added; want at most %v", at.Sub(added), c.most)
					}
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What was published and cannot be marked is told of.
func TestDrainIncomplete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := &plain{Queue: w.store}
		q.broken.Store(true)
		d, stop := run(t, q, w.bus, &outbox.Options{Drain: 5 * time.Second})
		w.add(t, "a")
		time.Sleep(3 * time.Second)
		if s := d.Stats(); s.Unsettled != 1 || d.Healthy() == nil || !strings.Contains(d.Healthy().Error(), errBroken.Error()) {
			t.Errorf("%+v, healthy: %v", s, d.Healthy())
		}
		began := time.Now()
		if err := stop(); !errors.Is(err, outbox.ErrDrainIncomplete) {
			t.Errorf("Run: %v; want ErrDrainIncomplete", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v to end; the drain time-out is 5 s", took)
		}
	})
}

// A call of the store that failed, and that nothing is left to repeat, is no reason to be
// unhealthy.
func TestTroubleEndsWithWhatItWasAbout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := &plain{Queue: w.store}
		q.broken.Store(true)
		d, stop := run(t, q, w.bus, nil)
		w.add(t, "a")
		time.Sleep(3 * time.Second)
		if d.Healthy() == nil {
			t.Error("it cannot mark, and is healthy")
		}
		for i := range outbox.DefaultPartitions { // others take their share, which is all
			if _, err := w.store.Acquire(t.Context(), fmt.Sprint("0-", i), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if s := d.Stats(); s.Partitions != 0 || s.Unsettled != 0 || d.Healthy() != nil {
			t.Errorf("%+v, healthy: %v", s, d.Healthy())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// hanging is a bus that answers only when it is told to give up.
type hanging struct{}

func (hanging) Publish(ctx context.Context, _ ...bus.Event) ([]bus.Receipt, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestABusThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add(t, "a")
		_, stop := run(t, w.store, hanging{}, &outbox.Options{Drain: 5 * time.Second})
		time.Sleep(time.Second)
		began := time.Now()
		if err := stop(); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("Run: %v after %v; want nil after 5 s", err, time.Since(began))
		}
		if c, err := w.store.Count(t.Context()); err != nil || c.Pending != 1 {
			t.Errorf("%+v, %v; want the row pending", c, err)
		}
	})
}

// CutShort ends the drain at once, whether it has begun or not, and nothing before.
func TestCutShortEndsADrain(t *testing.T) {
	t.Parallel()
	for _, before := range []time.Duration{time.Second, 0} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.add(t, "a")
			d, stop := run(t, w.store, hanging{}, &outbox.Options{Drain: time.Hour})
			time.Sleep(time.Second)
			began := time.Now()
			if before == 0 {
				d.CutShort()
				time.Sleep(5 * time.Second)
				began = time.Now()
			} else {
				time.AfterFunc(before, d.CutShort)
			}
			if err := stop(); err != nil || time.Since(began) != before {
				t.Errorf("Run: %v after %v; want nil after %v", err, time.Since(began), before)
			}
			if c, err := w.store.Count(t.Context()); err != nil || c.Pending != 1 {
				t.Errorf("%+v, %v; want the row pending", c, err)
			}
		})
	}
}

func TestStoppingBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, err := outbox.NewDrainer(w.store, w.bus, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Healthy() == nil {
		t.Error("a drainer that does not run is healthy")
	}
	start, stop := d.Actor()
	stop(nil)
	stop(nil)
	if err := start(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for field, o := range map[string]outbox.Options{
		"Lease": {Lease: time.Millisecond}, "Publishers": {Publishers: -1}, "Batch": {Batch: -1}, "MaxRows": {MaxRows: 99},
		"MaxBytes": {MaxBytes: 1}, "MaxAttempts": {MaxAttempts: -1}, "Backoff.Base": {Backoff: outbox.Backoff{Base: -1}},
		"Backoff.Max": {Backoff: outbox.Backoff{Base: time.Minute, Max: time.Second}}, "AfterDead": {AfterDead: 7},
		"PollMin": {PollMin: -1}, "PollMax": {PollMin: time.Second, PollMax: time.Millisecond}, "Drain": {Drain: -1},
	} {
		if _, err := outbox.NewDrainer(w.store, w.bus, &o); err == nil || !strings.Contains(err.Error(), "Options."+field+" is") {
			t.Errorf("%s: %v; want an error that names it", field, err)
		}
	}
	if _, err := outbox.NewDrainer(nil, w.bus, nil); err == nil {
		t.Error("no queue: no error")
	}
	if _, err := outbox.NewDrainer(w.store, nil, nil); err == nil {
		t.Error("no bus: no error")
	}
}
