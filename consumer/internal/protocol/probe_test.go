package protocol

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestProbeThatCannotBeMarkedHoldsUpNothing: while there is a gap between starts, the next event
// is claimed once the last run has returned, whenever the store takes what became of that.
func TestProbeThatCannotBeMarkedHoldsUpNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for seq := uint64(1); seq <= 9; seq++ { // until there is a gap that one success does not end
		r.give(arrival(fmt.Sprint("throttled", seq), seq))
		r.claims(nil)
		r.Ran(r.now, r.run(), Verdict{Kind: Throttled, Error: "429"})
		r.settle(true)
		r.pass(2 * maxGap)
	}
	r.give(arrival("a", 10), arrival("b", 11))
	r.pass(maxGap)
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), Verdict{})
	b := r.Settlements(r.now)
	r.pass(maxGap)
	r.Settled(r.now, b, []error{errors.New("refused")}, nil)
	if ids := r.claims(nil); !slices.Equal(ids, []string{"b"}) || r.Unmarked() != 1 {
		t.Fatalf("claimed %v with %d unmarked, want b beside a", ids, r.Unmarked())
	}
	r.Ran(r.now, r.mustRun("b"), Verdict{})
}
