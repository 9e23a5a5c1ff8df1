package deferral_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// settleless is a store that settles nothing while it is down.
type settleless struct {
	*memdedupe.Store

	down atomic.Bool
}

func (s *settleless) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	if s.down.Load() {
		return nil, errors.New("the store is down")
	}
	return s.Store.Settle(ctx, ss)
}

// A summary that was made is not made again, however long the store cannot take that.
func TestASummaryOutlastsAnOutageOfTheStore(t *testing.T) {
	inBubble(t, func(w *world) {
		store := &settleless{Store: w.store}
		p := w.work(perMinute(1), workerOptions{bus: w.bus, store: store, sum: func(ctx context.Context, key string, events []bus.Event) error {
			store.down.Store(len(w.sums()) == 0)
			return w.sum(ctx, key, events)
		}})
		all := orders("a", 0, 10)
		w.publish(all[:5]...)
		time.Sleep(31*time.Second + 5*time.Minute)
		if n := len(w.sums()); n != 1 {
			t.Fatalf("there were %d summaries in the outage, want one", n)
		}
		store.down.Store(false)
		w.publish(all[5:]...) // their summary has the subscription deliver again what is not marked
		time.Sleep(5 * time.Minute)
		wantNothingLeft(t, p)
		w.wantOnce(t, all, 0)
		must(t, p.stop())
	})
}
