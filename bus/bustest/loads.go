package bustest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func loads() []promise {
	return []promise{
		{name: "many publishers and two sources lose and repeat nothing", keeps: publishersAndSources},
	}
}

const (
	publishers   = 4
	perPublisher = 250
)

// tally counts what arrived, under which position.
type tally struct {
	mu       sync.Mutex
	arrivals map[string]int
	done     context.CancelFunc // called once all is there
}

func (y *tally) add(ds []*bus.Delivery) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, d := range ds {
		y.arrivals[d.Event.ID]++
	}
	if len(y.arrivals) == publishers*perPublisher {
		y.done()
	}
}

func publishersAndSources(t *testing.T, f *fixture) {
	ctx, done := context.WithTimeout(t.Context(), 3*f.h.Patience)
	defer done()
	seen := &tally{arrivals: map[string]int{}, done: done}
	var wg sync.WaitGroup
	for range 2 {
		src := f.subscribe(t, "g", nil)
		wg.Go(func() { work(ctx, t, src, seen) })
	}
	for p := range publishers {
		wg.Go(func() { f.publishMany(t, p) })
	}
	wg.Wait()
	for id, n := range seen.arrivals {
		if n != 1 {
			t.Errorf("%q arrived %d times", id, n)
		}
	}
	if len(seen.arrivals) != publishers*perPublisher {
		t.Errorf("%d of %d events arrived", len(seen.arrivals), publishers*perPublisher)
	}
	f.idle(t, f.subscribe(t, "g", nil))
}

// work acknowledges what it is given, until ctx ends.
func work(ctx context.Context, t *testing.T, src bus.Source, seen *tally) {
	for ctx.Err() == nil {
		ds, err := src.Fetch(ctx, 50)
		if err != nil && ctx.Err() == nil {
			t.Errorf("Fetch: %v", err)
			return
		}
		for _, d := range ds {
			if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("Ack of %q: %v", d.Event.ID, err)
			}
		}
		seen.add(ds)
	}
}

// publishMany publishes in calls of growing size, and checks that the sequences of one
// publisher grow.
func (f *fixture) publishMany(t *testing.T, publisher int) {
	var es []bus.Event
	for i := range perPublisher {
		es = append(es, bus.Event{
			ID: fmt.Sprintf("%d-%d", publisher, i), Topic: fmt.Sprintf("orders.%d", publisher), Time: time.Now(),
		})
	}
	var last uint64
	for size := 1; len(es) > 0; size++ {
		n := min(size, len(es))
		receipts, err := f.bus.Publish(t.Context(), es[:n]...)
		if err != nil {
			t.Errorf("Publish: %v", err)
			return
		}
		for _, r := range receipts {
			if r.Sequence <= last || r.Duplicate {
				t.Errorf("receipt %+v after sequence %d", r, last)
			}
			last = r.Sequence
		}
		es = es[n:]
	}
}
