package consumer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// lossCounter counts the claims that were lost.
type lossCounter struct{ lost atomic.Int32 }

func (c *lossCounter) Observe(o consumer.Observation) {
	if o.Outcome == consumer.OutcomeLost {
		c.lost.Add(1)
	}
}

// TestClaimsOfALostPartitionAreReported: a run whose mark cannot be stored before the partition is
// given up is observed as lost, once.
func TestClaimsOfALostPartitionAreReported(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		w.handle = func(context.Context, bus.Event) error { time.Sleep(2 * time.Second); return nil }
		var losses lossCounter
		a := w.start("a", func(o *consumer.Options) { o.Observer = &losses })
		w.awaitSpread(4, a)
		w.publish(1, 1)
		time.Sleep(time.Second)
		a.kill() // it reaches no server any more
		time.Sleep(time.Minute)
		if n := losses.lost.Load(); n != 1 || a.sub.Stats().Lost != 1 {
			t.Errorf("observed %d losses, stats %+v; want 1", n, a.sub.Stats())
		}
	})
}
