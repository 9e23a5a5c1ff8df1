package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/breaker"
	memgroup "github.com/onceish/onceish/group/memory"
)

// failing is a receiver that fails everything for a minute, and what was asked of it. It is for
// bubbles.
type failing struct {
	until         time.Time
	lock          chan struct{} // held while it counts
	ran           map[string]int
	failures      int
	atOnce, most  int // runs that fail, after the first second
	done          int
	probesStarted []time.Time
}

func newFailing() *failing {
	return &failing{until: time.Now().Add(time.Minute), lock: make(chan struct{}, 1), ran: make(map[string]int)}
}

func (f *failing) handle(_ context.Context, e bus.Event) error {
	f.lock <- struct{}{}
	began := time.Now()
	late := began.Before(f.until) && began.After(f.until.Add(-59*time.Second)) // the breakers have opened
	f.ran[e.ID]++
	if late {
		f.atOnce++
		f.most = max(f.most, f.atOnce)
		f.probesStarted = append(f.probesStarted, began)
	}
	<-f.lock
	time.Sleep(100 * time.Millisecond)
	f.lock <- struct{}{}
	defer func() { <-f.lock }()
	if late {
		f.atOnce--
	}
	if began.Before(f.until) {
		f.failures++
		return errors.New("the receiver is down")
	}
	f.done++
	return nil
}

// TestBreakerSavesAttempts: while a receiver fails everything for a minute, attempts are used by
// what ran before the breaker opened and by its probes alone, one at a time in the group.
// Afterwards all events are handled.
func TestBreakerSavesAttempts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		workers int
		grouped bool
	}{{"of a process", 1, false}, {"of a group", 3, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { breakThrough(t, c.workers, c.grouped) })
		})
	}
}

func breakThrough(t *testing.T, workers int, grouped bool) {
	t.Helper()
	const events, concurrency, attempts = 500, 8, 4
	b, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := memgroup.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFailing()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, workers)
	for range workers {
		conns := Over(b, store)
		conns.groups = groups
		w, err := New("g", conns, &Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		open := w.newBreaker
		if grouped {
			open = func(o *breaker.Options) (*breaker.Breaker, error) { return w.GroupBreaker("t", o) }
		}
		gate, err := open(&breaker.Options{Failures: 5, Wait: 5 * time.Second, RampTo: concurrency})
		if err != nil {
			t.Fatal(err)
		}
		w.Handle("t", f.handle, &consumer.Options{Concurrency: concurrency, MaxAttempts: attempts, Gates: []flow.Gate{gate}})
		go func() { ended <- w.Run(ctx) }()
	}
	for i := range events {
		if _, err := b.Publish(t.Context(), bus.Event{ID: string(rune('a'+i%26)) + time.Duration(i).String(), Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	if f.done != events {
		t.Errorf("%d of %d events are handled", f.done, events)
	}
	probes := len(f.probesStarted)
	if before := f.failures - probes; before > 2*workers*concurrency {
		t.Errorf("%d runs failed before the breakers opened; %d run at once", before, workers*concurrency)
	}
	if f.most > 1 || probes == 0 || probes > 5 { // after 5, 10, 20 and 40 s
		t.Errorf("%d probes, %d at once; at %v", probes, f.most, f.probesStarted)
	}
	for id, n := range f.ran {
		if n > attempts {
			t.Errorf("%s ran %d times", id, n)
		}
	}
	cancel()
	for range workers {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
