package deferral_test

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
)

// A subscription to a pattern that covers the topic of the deferred events leaves them to their
// summary: they are neither run at once nor deferred a second time.
func TestAPatternMayCoverTheDeferredEvents(t *testing.T) {
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		tracker, err := deferral.Open(ctx, w.bus, w.store, "billing", perMinute(1), w.sum, &deferral.Options{Observer: w, Logger: discard()})
		must(t, err)
		o := consumer.Options{Logger: discard(), DeadLetter: "dead"}
		must(t, tracker.Apply(&o))
		sub, err := consumer.SubscribeExactlyOnce(ctx, w.bus, "*.*", "billing", w.store, w.run, &o)
		must(t, err)
		_, err = tracker.Start(ctx)
		must(t, err)
		w.t.Cleanup(func() { cancel(); <-sub.Done(); <-tracker.Done() })
		all := orders("a", 0, 3)
		w.publish(all...)
		time.Sleep(10 * time.Minute)
		wantIDs(t, "what ran at once", w.runs(), ids(all[:1]))
		if len(w.sums()) != 1 {
			t.Fatalf("summaries are %v, want one", w.sums())
		}
		wantIDs(t, "the summary", w.sums()[0].ids, ids(all[1:]))
	})
}
