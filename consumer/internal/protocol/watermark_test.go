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
