package deadletter_test

import (
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
)

// An event that failed when it ran again is redriven in the same scope: what was done before is not
// undone, and what is redriven runs once.
func TestARedriveStaysInItsScope(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.mend(true)
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		w.mend(false)
		w.publish(order("1").WithControl(bus.Control{Group: "billing", Copy: "run", Again: "fix"}))
		w.settle()
		if letters := w.list(deadletter.Filter{}); len(letters) != 1 || letters[0].Again != "fix" {
			t.Fatalf("letters: %+v; want one of the scope", letters)
		}
		w.mend(true)
		w.redrive()
		w.settle()
		if n := w.handled["billing 1"]; n != 2 {
			t.Errorf("handled %d times; want once at first, and once for the redrive", n)
		}
		w.publish(order("1").WithControl(bus.Control{Group: "billing", Copy: "other run", Again: "fix"}))
		w.settle()
		if n := w.handled["billing 1"]; n != 2 {
			t.Errorf("handled %d times; want no second time in the scope", n)
		}
	})
}
