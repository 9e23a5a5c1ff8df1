package deferral_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/deferral"
)

// lateBus is read with a delay.
type lateBus struct {
	*membus.Bus

	delay time.Duration
}

func (b lateBus) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		for s, err := range b.Bus.Read(ctx, pattern, r) {
			time.Sleep(b.delay)
			if !yield(s, err) {
				return
			}
		}
	}
}

// What is deferred before a flush is in one summary, also if it has not been read back by then.
func TestAFlushWaitsForWhatIsNotReadYet(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.work(hourly(), workerOptions{bus: lateBus{w.bus, 50 * time.Millisecond}, store: w.store})
		all := orders("a", 0, 10)
		for _, e := range all {
			d, err := p.Track(context.Background(), e)
			must(t, err)
			if want := e.ID != "a-000"; want != (d == deferral.Deferred) {
				t.Errorf("%s is %v", e.ID, d)
			}
		}
		p.Flush()
		time.Sleep(time.Minute)
		if len(w.sums()) != 1 {
			t.Fatalf("summaries are %v, want one", w.sums())
		}
		wantIDs(t, "the summary", w.sums()[0].ids, ids(all[1:]))
	})
}
