package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestACopyWithoutRoomKeepsThePlaceOfItsEvent: where the bus drops the copy that an event ran as,
// later events of the key still wait for the other one.
func TestACopyWithoutRoomKeepsThePlaceOfItsEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBytes = 300 })
	r.give(arrival("x1", 1, ordered("x")))
	r.claims(nil)
	x1 := r.mustRun("x1")
	r.give(arrival("x1", 5, ordered("x")))
	r.want("x1 nak held")
	r.Ran(r.now, x1, fails("no"))
	r.settleOne(dedupe.Failed)
	r.want("x1 nak failed")
	r.give(arrival("x9", 9, ordered("x")))
	r.pass(time.Minute)
	b := r.Lookups(r.now)
	there := make([]bool, len(b.Items))
	for i, l := range b.Items {
		there[i] = l.At.Sequence != 1
	}
	if gone := r.LookedUp(r.now, b, make([]dedupe.Record, len(there)), there, nil); len(gone) != 1 || gone[0].Kept {
		t.Fatalf("gone: %+v, want sequence 1, whose data was not kept", gone)
	}
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v while the bus has another copy of x1", ids)
	}
	r.give(arrival("x1", 5, ordered("x"), arrivals(2)))
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1", ids)
	}
}

// TestAnEarlierCopyUnderAnotherKeyGoesFirst: of two copies of an event under different order keys,
// the later one makes way for the earlier one while it waits. Two processes that each held a later
// copy, and refused the earlier one that the other waited for, would wait for ever.
func TestAnEarlierCopyUnderAnotherKeyGoesFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("y1", 1, ordered("y")), arrival("a", 9, ordered("y")))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("y1"), fails("no"))
	r.settleOne(dedupe.Failed)
	r.want("y1 nak failed")
	r.give(arrival("a", 5, ordered("z")))
	r.want("a nak given back")
	if ids := r.claims(nil); !slices.Equal(ids, []string{"a"}) {
		t.Fatalf("claimed %v, want a", ids)
	}
	r.succeed(r.mustRun("a"))
	r.want("a ack handled")
}
