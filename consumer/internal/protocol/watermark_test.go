package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// TestNothingIsWaitedForThatARestoredStreamLacks: what was nacked on the cursor before is expected
// from the next one, which delivers it again; where the stream came back without it, later events
// of its key go on all the same, and it is dead-lettered from memory.
func TestNothingIsWaitedForThatARestoredStreamLacks(t *testing.T) {
	t.Parallel()
	r := failedHead(t, nil)
	r.SetWatermark(r.now, bus.Position{Stream: "s@2"})
	r.want("x2 nothing given back")
	r.give(arrival("x2", 2, ordered("x")))
	r.pass(time.Second)
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v before what was nacked here is known to be gone", ids)
	}
	r.pass(time.Minute)
	if _, gone := r.lookUp(nil, "x1"); len(gone) != 1 || !gone[0].Kept {
		t.Fatalf("gone: %+v, want x1 with its data", gone)
	}
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1, to be dead-lettered", ids)
	}
}

// TestFloorOfTheCursorBefore: what lies above the watermark of a new cursor is not covered by a
// floor that was asked of the one before, although both read the same incarnation of the stream.
func TestFloorOfTheCursorBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handle(3, 4)
	asked := r.now
	r.advances("s@1", 4, 3, 4)
	r.pass(time.Second)
	r.SetWatermark(r.now, position(1))
	r.handle(4) // before 2 and 3, which other processes have
	if settled := r.SettledUpTo(asked, "s@1", 4); len(settled) != 0 {
		t.Errorf("advances to %v by the floor of the cursor before", settled)
	}
	r.WatermarkStored(asked, position(4)) // it was under way
	r.pass(time.Second)
	r.advances("s@1", 3)
	r.advances("s@1", 4, 4)
}
