package deferral

import (
	"testing"

	"github.com/onceish/onceish/bus"
)

// What another process was delivered in place of this one is forgotten once the group is done with
// it: nothing piles up.
func TestSummedUpEventsAreForgottenOnceTheGroupIsDoneWithThem(t *testing.T) {
	tracker := new(Tracker)
	for sequence := range uint64(10) {
		tracker.summed.add(sequence)
	}
	settledObserver{tracker}.ObserveWatermark(bus.Position{Sequence: 6})
	for sequence := range uint64(10) {
		if known := tracker.summed.has(bus.Position{Sequence: sequence}); known != (sequence > 6) {
			t.Errorf("event %d: known is %v", sequence, known)
		}
	}
}
