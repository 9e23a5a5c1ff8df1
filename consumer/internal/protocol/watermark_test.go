package protocol

import (
	"testing"
	"time"
)

// TestNothingIsExpectedBackFromAnOldCursor: what was nacked on the cursor before is not waited for on the next one, where its sequence
// may be another event's.
func TestNothingIsExpectedBackFromAnOldCursor(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	order := func(a *Arrival) { a.Order = "k" }
	r.give(arrival("a", 1, order))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), fails("not now"))
	r.settle(true)
	r.Answers() // nacked, and expected back before anything later of its key
	r.SetWatermark(arrival("", 0).Delivery.At)
	r.give(arrival("b", 2, order))
	r.pass(time.Second)
	r.claims(nil)
	r.mustRun("b")
}
