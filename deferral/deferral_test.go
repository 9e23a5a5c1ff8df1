package deferral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
)

// The first events of a key run at once, the others are in one summary, in their order, an interval
// after the first of them; other keys are apart.
func TestWhatExceedsTheLimitIsSummedUp(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.work(perMinute(3), workerOptions{})
		began := time.Now()
		a, b := orders("a", 0, 10), orders("b", 0, 2)
		w.publish(append(a, b...)...)
		time.Sleep(29 * time.Second)
		if n := len(w.runs()); n != 5 || len(w.sums()) != 0 {
			t.Errorf("before the interval: %q ran, and summaries are %v; want 3 of a, 2 of b, and none", w.runs(), w.sums())
		}
		time.Sleep(3 * time.Second)
		sums := w.sums()
		if len(sums) != 1 {
			t.Fatalf("summaries are %v, want one", sums)
		}
		wantIDs(t, "the summary", sums[0].ids, ids(a[3:]))
		if took := sums[0].at.Sub(began); sums[0].key != "a" || took < 30*time.Second || took > 31*time.Second {
			t.Errorf("the summary is of key %q after %v, want a after 30s", sums[0].key, took)
		}
		time.Sleep(10 * time.Second)
		wantNothingLeft(t, p)
		must(t, p.stop())
		if w.count(deferral.OutcomeImmediate) != 5 || w.count(deferral.OutcomeDeferred) != 7 || w.count(deferral.OutcomeProcessed) != 7 {
			t.Errorf("outcomes are %v, want 5 immediate, 7 deferred and processed", w.outcomes)
		}
	})
}

// Between summaries nothing is held: the group's cursor has all deferred events pending.
func TestNothingIsHeldWhileItWaits(t *testing.T) {
	inBubble(t, func(w *world) {
		w.work(perMinute(1), workerOptions{})
		time.Sleep(time.Second) // leftovers were looked for, of which there are none
		w.publish(orders("a", 0, 20)...)
		time.Sleep(20 * time.Second)
		source, err := w.bus.Subscribe(w.t.Context(), "deferred.billing", "billing", nil)
		must(t, err)
		info, err := source.Info(w.t.Context())
		must(t, err)
		if info.Pending != 19 || info.Unsettled != 0 {
			t.Errorf("%d pending and %d unsettled, want 19 and 0", info.Pending, info.Unsettled)
		}
		time.Sleep(20 * time.Second)
		if info, err = source.Info(w.t.Context()); err != nil || info.Pending+info.Unsettled != 0 {
			t.Errorf("after the summary: %d pending and %d unsettled (%v), want 0 and 0", info.Pending, info.Unsettled, err)
		}
	})
}

// While a key has deferred events its later ones are deferred too, whatever the limit says: else
// they would overtake.
func TestNothingOvertakesWhatIsDeferred(t *testing.T) {
	inBubble(t, func(w *world) {
		c := perMinute(2)
		c.Rate.Per, c.Interval = time.Second, time.Minute
		p := w.work(c, workerOptions{})
		all := orders("a", 0, 8)
		w.publish(all[:4]...)
		time.Sleep(5 * time.Second) // the limit has room again
		w.publish(all[4:5]...)
		time.Sleep(58 * time.Second)
		w.publish(all[5:7]...)
		time.Sleep(time.Second)
		wantIDs(t, "at once", w.runs(), append(ids(all[:2]), ids(all[5:7])...))
		if sums := w.sums(); len(sums) != 1 {
			t.Fatalf("summaries are %v, want one", sums)
		}
		wantIDs(t, "the summary", w.sums()[0].ids, ids(all[2:5]))
		wantNothingLeft(t, p)
	})
}

// What is deferred while a summary is made is in the next one.
func TestASummaryEndsAtItsInterval(t *testing.T) {
	inBubble(t, func(w *world) {
		w.work(perMinute(1), workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
			time.Sleep(10 * time.Second)
			return w.sum(ctx, key, es)
		}})
		all := orders("a", 0, 9)
		w.publish(all[:3]...)
		time.Sleep(32 * time.Second)
		w.publish(all[3:6]...)
		time.Sleep(5 * time.Second)
		w.publish(all[6:]...)
		time.Sleep(time.Minute)
		sums := w.sums()
		if len(sums) != 2 {
			t.Fatalf("summaries are %v, want two", sums)
		}
		wantIDs(t, "the first", sums[0].ids, ids(all[1:3]))
		wantIDs(t, "the second", sums[1].ids, ids(all[3:]))
	})
}

func TestEventsWithoutAKeyAreNeverDeferred(t *testing.T) {
	inBubble(t, func(w *world) {
		w.work(perMinute(1), workerOptions{})
		w.publish(orders("", 0, 9)...)
		time.Sleep(time.Minute)
		if len(w.runs()) != 9 || w.count(deferral.OutcomeDeferred) != 0 {
			t.Errorf("%d of 9 ran at once, outcomes %v", len(w.runs()), w.outcomes)
		}
	})
}

// A run that failed is repeated at once when its time has come: it is not counted again, and does
// not change sides.
func TestARetryDoesNotChangeSides(t *testing.T) {
	inBubble(t, func(w *world) {
		failed := make(map[string]int)
		w.work(perMinute(2), workerOptions{handler: func(ctx context.Context, e bus.Event) error {
			if failed[e.ID]++; failed[e.ID] < 4 {
				return consumer.RetryAfter(time.Second, errors.New("not yet"))
			}
			return w.run(ctx, e)
		}})
		all := orders("a", 0, 5)
		w.publish(all...)
		time.Sleep(29 * time.Second)
		wantIDs(t, "at once", w.runs(), ids(all[:2]))
		time.Sleep(15 * time.Second)
		if sums := w.sums(); len(sums) != 1 || len(sums[0].ids) != 3 || w.count(deferral.OutcomeIgnored) < 6 {
			t.Errorf("summaries are %v, outcomes %v; want one of 3 events, and 6 retries ignored", sums, w.outcomes)
		}
	})
}

// Two topics may have one ID, and one payload.
func TestEventsOfTwoTopicsAreNotTakenForOne(t *testing.T) {
	inBubble(t, func(w *world) {
		w.work(perMinute(1), workerOptions{})
		es := make([]bus.Event, 0, 6)
		for _, topic := range []string{"order.placed", "order.cancelled"} {
			for _, id := range []string{"1", "2", "3"} {
				es = append(es, bus.Event{ID: id, Topic: topic, Key: "k", Type: "t", Data: []byte("same")})
			}
		}
		w.publish(es...)
		time.Sleep(time.Minute)
		if sums := w.sums(); len(w.runs()) != 1 || len(sums) != 1 || len(sums[0].ids) != 5 {
			t.Errorf("%q at once, summaries %v; want one, and one of 5", w.runs(), sums)
		}
	})
}
