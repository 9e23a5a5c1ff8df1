package deadletter_test

import (
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
)

// A redrive publishes where the group reads today, which may not be where the event was given up.
func TestRedrivePublishesToTheLayoutOfTheDay(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		e := order("1")
		e.Key = "k"
		w.publish(e)
		w.settle()
		layout := bus.Layout{"order.placed": 8}
		for _, err := range w.topic.In(layout).Redrive(w.t.Context(), w.store, "", w.list(deadletter.Filter{})...) {
			must(w.t, err)
		}
		if n := w.count(layout.Place(e).Topic); n != 1 {
			t.Errorf("%d events in the partition of the key, want 1", n)
		}
		if n := w.count("order.placed"); n != 1 {
			t.Errorf("%d events on the topic itself, want the first alone", n)
		}
		if rest := w.list(deadletter.Filter{}); len(rest) > 0 {
			t.Errorf("letters of %q are left", ids(rest))
		}
	})
}
