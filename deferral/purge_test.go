package deferral_test

import (
	"testing"
	"time"
)

// A process that makes no summaries also forgets deferred events that are no longer stored: their
// keys have their limit again.
func TestAStandbyForgetsDeferredEventsThatWerePurged(t *testing.T) {
	inBubble(t, func(w *world) {
		store := newGroupStore(t)
		holder := w.workAsMember(store, perMinute(1))
		w.publish(orders("x", 0, 2)...)
		time.Sleep(time.Minute) // the first holds the lease
		standby := w.workAsMember(store, perMinute(1))
		w.publish(orders("a", 0, 9)...)
		time.Sleep(time.Second)
		must(t, w.bus.Purge("events", holder.Topic()))
		time.Sleep(5 * time.Minute)
		wantNothingLeft(t, holder)
		wantNothingLeft(t, standby)
	})
}
