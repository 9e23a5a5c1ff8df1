package protocol

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestOrder: events of one key run one after the other by sequence, others beside them.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 4 })
	r.give(arrival("x1", 1, ordered("x")), arrival("x3", 3, ordered("x")), arrival("x2", 2, ordered("x")), arrival("y", 4, ordered("y")))
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1", "y"}) {
		t.Fatalf("claimed %v, want the first of each key", ids)
	}
	r.succeed(r.mustRun("x1"))
	for _, id := range []string{"x2", "x3"} {
		if ids := r.claims(nil); !slices.Equal(ids, []string{id}) {
			t.Fatalf("claimed %v, want %s", ids, id)
		}
		if id == "x2" {
			r.mustRun("y")
		}
		r.succeed(r.mustRun(id))
	}
	if key, _ := r.FullestKey(); key != "" {
		t.Errorf("key %q waits", key)
	}
}

// TestEarlierCopy: a copy at a lower sequence moves its event forward.
func TestEarlierCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("x1", 1, ordered("x")), arrival("x2", 4, ordered("x")), arrival("x3", 3, ordered("x")), arrival("x2", 2, ordered("x")))
	r.claims(nil)
	r.succeed(r.mustRun("x1"))
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x2"}) {
		t.Errorf("claimed %v, want x2, which also lies at 2", ids)
	}
}

// TestLostKeepsPlace: the copy of a lost event goes before later ones.
func TestLostKeepsPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("x1", 9, ordered("x")))
	r.claims(nil)
	j := r.mustRun("x1")
	r.give(arrival("x2", 5, ordered("x")), arrival("x1", 1, ordered("x")))
	r.Ran(r.now, j, Verdict{})
	r.settle(false)
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Errorf("claimed %v, want the copy of x1 at sequence 1", ids)
	}
}

// TestCopies wait for what becomes of the first, and share it.
func TestCopies(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1), arrival("a", 2))
	r.claims(nil)
	j := r.mustRun("a")
	r.give(arrival("a", 1, arrivals(2)))
	if ids := r.claims(nil); len(ids) != 0 || r.run() != nil {
		t.Fatalf("a copy is claimed or run beside its event: %v", ids)
	}
	r.succeed(j)
	r.want("a ack handled", "a ack duplicate", "a ack duplicate")
	r.empty()
}

// TestOtherPayload: a copy with another payload waits, and is asked for on its own; reused, it is
// dead-lettered under a key of its own.
func TestOtherPayload(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1), arrival("a", 2, hashed("two")), arrival("a", 3))
	r.claims(nil)
	r.succeed(r.mustRun("a"))
	r.want("a ack handled", "a ack duplicate")
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Reused}})
	r.want()
	own := fmt.Sprintf("a%x", "two")
	if ids := r.claims(nil); !slices.Equal(ids, []string{own}) {
		t.Fatalf("claimed %v, want %s", ids, own)
	}
	if j := r.run(); j != nil {
		t.Fatalf("%s runs", name(j))
	}
	s := r.settleOne(dedupe.GivenUp)
	if s.Reason != ReasonReused || s.CountAttempt {
		t.Errorf("given up: %+v", s)
	}
	r.LetterPublished(r.now, r.letter(), nil)
	r.settleOne(dedupe.DeadLettered)
	r.want("a ack dead")
	r.empty()
}

// TestReusedTwice: two copies of the second payload, one of them rekeyed before, are
// one dead letter.
func TestReusedTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	reused := map[string]dedupe.Claim{"a": {State: dedupe.Reused}}
	r.give(arrival("a", 1, hashed("two")))
	r.claims(reused)
	r.give(arrival("a", 2, hashed("two")))
	r.claims(reused)
	r.settleOne(dedupe.GivenUp)
	r.LetterPublished(r.now, r.letter(), nil)
	r.settleOne(dedupe.DeadLettered)
	r.want("a ack dead", "a ack dead")
	r.empty()
}

// letter takes the one letter there is.
func (r *rig) letter() *Letter {
	r.Helper()
	ls := r.Letters(r.now)
	if len(ls) != 1 {
		r.Fatalf("%d letters, want 1", len(ls))
	}
	return ls[0]
}

// TestOrphans: after the cursor was rebuilt, what came from the old one is told nothing; what comes
// again shares its outcome.
func TestOrphans(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1), arrival("b", 2))
	r.claims(nil)
	a, b := r.mustRun("a"), r.mustRun("b")
	r.succeed(a)
	w := arrival("", 1).Delivery.At
	r.SetWatermark(r.now, w)
	r.want("a nothing handled")
	r.give(arrival("b", 2))
	r.pass(10 * time.Second)
	r.want("b progress working")
	r.succeed(b)
	r.want("b nothing handled", "b ack duplicate")
	r.give(arrival("a", 1))
	r.want("a ack duplicate")
	r.empty()
}
