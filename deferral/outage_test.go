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

// extendless is a store that renews nothing while it is down.
type extendless struct {
	*memdedupe.Store

	down atomic.Bool
}

func (s *extendless) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	if s.down.Load() {
		return nil, errors.New("the store is down")
	}
	return s.Store.Extend(ctx, cs, lease, ttl)
}

// An event of a summary that another process has taken over meanwhile, and has not handled when it
// dies, is not forgotten.
func TestASummaryThatWasTakenOverIsMadeAgainWhenTheOtherDies(t *testing.T) {
	inBubble(t, func(w *world) {
		store := &extendless{Store: w.store}
		all := orders("a", 0, 4)
		p := w.work(perMinute(1), workerOptions{bus: w.bus, store: store, sum: func(ctx context.Context, key string, events []bus.Event) error {
			if len(w.sums()) == 0 {
				store.down.Store(true)
				time.Sleep(5 * time.Minute)
				cs, err := w.store.Claim(context.WithoutCancel(ctx), []dedupe.Request{{
					Key: dedupe.Key{Topic: "deferred.billing", Group: "billing", ID: "order.placed " + all[3].ID}, Nonce: "other", Lease: time.Minute, TTL: time.Hour,
				}})
				if err != nil || cs[0].State != dedupe.Fresh {
					t.Errorf("another process claims the last event: %+v, %v", cs, err)
				}
				store.down.Store(false)
			}
			return w.sum(ctx, key, events)
		}})
		w.publish(all...)
		time.Sleep(5*time.Minute + 45*time.Second)
		if _, events := p.Waiting(); events == 0 {
			t.Error("what the other process has taken over does not wait any more")
		}
		time.Sleep(20 * time.Minute)
		wantNothingLeft(t, p)
		p.wantAllAcked(t)
		if sums := w.sums(); len(sums) < 2 || sums[len(sums)-1].ids[0] != all[3].ID {
			t.Errorf("summaries are %v; want that of the event whose claim was lost again", sums)
		}
	})
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
