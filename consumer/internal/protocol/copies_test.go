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
	r.wantDropped(1, dedupe.Fresh)
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v while the bus has another copy of x1", ids)
	}
	r.give(arrival("x1", 5, ordered("x"), arrivals(2)))
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1", ids)
	}
}

// wantDropped answers the next look-ups: the bus has all but one sequence, whose data was not kept.
func (r *rig) wantDropped(sequence uint64, known dedupe.State) {
	r.Helper()
	b := r.Lookups(r.now)
	there, records := make([]bool, len(b.Items)), make([]dedupe.Record, len(b.Items))
	for i, l := range b.Items {
		there[i], records[i].State = l.At.Sequence != sequence, known
	}
	gone := r.LookedUp(r.now, b, records, there, nil)
	if len(gone) != 1 || gone[0].Kept || gone[0].At.Sequence != sequence {
		r.Fatalf("gone: %+v, want sequence %d, whose data was not kept", gone, sequence)
	}
}

// TestWhatThisProcessHoldsIsNotElsewhere: while the store holds an event because of this process
// itself, no copy of it counts as another owner's, whichever of them ran. Where the bus drops that
// one, later events of the key wait for the others.
func TestWhatThisProcessHoldsIsNotElsewhere(t *testing.T) {
	t.Parallel()
	first, second := arrival("x1", 1, ordered("x")), arrival("x1", 5, ordered("x"))
	snoozes := Verdict{Kind: Snooze, Timed: true, After: 10 * time.Second}
	begin := func(r *rig) *Job {
		r.give(first)
		r.claims(nil)
		return r.mustRun("x1")
	}
	refuse := func(r *rig) {
		r.Pause(r.now)
		r.give(second)
		r.want("x1 nak given back")
		r.Resume()
	}
	for name, copies := range map[string]func(*rig) (later dedupe.State){
		"the other one had no room": func(r *rig) dedupe.State {
			j := begin(r)
			r.give(second)
			r.want("x1 nak held")
			r.Ran(r.now, j, snoozes)
			r.settleOne(dedupe.NotBegun)
			return dedupe.Fresh
		},
		"the other one was nacked before": func(r *rig) dedupe.State {
			refuse(r)
			r.Ran(r.now, begin(r), snoozes)
			r.settleOne(dedupe.NotBegun)
			return dedupe.Fresh
		},
		"the other one is looked up during the run": func(r *rig) dedupe.State {
			j := begin(r)
			refuse(r)
			r.pass(2 * time.Second)
			r.lookUp(map[string]dedupe.State{"x1": dedupe.Held})
			r.Ran(r.now, j, snoozes)
			r.settleOne(dedupe.NotBegun)
			return dedupe.Fresh
		},
		"nobody knows whether a commit was made": func(r *rig) dedupe.State {
			j := begin(r)
			r.give(second)
			r.want("x1 nak held")
			r.Ran(r.now, j, Verdict{Kind: Unknown})
			return dedupe.Held // its lease is over, and nobody has taken it over
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.MaxBytes = 300 })
			later := copies(r)
			r.give(arrival("x9", 9, ordered("x")))
			r.pass(2 * time.Second)
			r.lookUp(map[string]dedupe.State{"x1": dedupe.Held})
			r.pass(time.Minute)
			r.wantDropped(1, later)
			if ids := r.claims(nil); len(ids) != 0 {
				t.Fatalf("claimed %v while the bus has another copy of x1", ids)
			}
			r.give(arrival("x1", 5, ordered("x"), arrivals(2)))
			if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
				t.Fatalf("claimed %v, want x1", ids)
			}
		})
	}
}

// TestACopyBesideAnUnknownCommitKeepsItsPlace: a copy that waited for a run of which nobody knows
// whether it was committed is claimed next. While it is held by the claim of that run, it is not
// another owner's.
func TestACopyBesideAnUnknownCommitKeepsItsPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBytes = 600 })
	r.Pause(r.now)
	r.give(arrival("z", 10)) // takes the room for data that is kept
	r.want("z nak given back")
	r.Resume()
	r.give(arrival("x1", 1, ordered("x")))
	r.claims(nil)
	x1 := r.mustRun("x1")
	r.give(arrival("x1", 5, ordered("x")))
	r.Ran(r.now, x1, Verdict{Kind: Unknown})
	r.want("x1 nothing unresolved")
	r.give(arrival("x9", 9, ordered("x")))
	r.pass(2 * time.Second)
	r.lookUp(nil)
	r.pass(time.Minute)
	r.wantDropped(1, dedupe.Held)
	r.claims(map[string]dedupe.Claim{"x1": {State: dedupe.Held}})
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v before x1, which is to be redelivered", ids)
	}
}

// TestACopyWithoutRoomOutlivesALostClaim: who took the event over may have set it free again before
// a copy arrived that had no room beside the lost job. Later events of the key wait for that copy.
func TestACopyWithoutRoomOutlivesALostClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBytes = 300 })
	r.give(arrival("x1", 1, ordered("x")))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("x1"), fails("no"))
	r.give(arrival("x1", 1, ordered("x"), arrivals(2)))
	r.want("x1 nak held")
	r.settle(false)
	r.want("x1 nothing lost")
	r.give(arrival("x9", 9, ordered("x")))
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v before x1, which the bus is to deliver again", ids)
	}
	r.pass(2 * time.Second)
	r.lookUp(map[string]dedupe.State{"x1": dedupe.Held})
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x9"}) {
		t.Fatalf("claimed %v, want x9: another owner has x1", ids)
	}
}

// TestACopyWithAnotherPayloadKeepsItsPlace: an event whose id is another's, and for which there was
// no room beside that, is not settled with it. Later events of the key wait for it.
func TestACopyWithAnotherPayloadKeepsItsPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBytes = 300 })
	r.give(arrival("x1", 1, ordered("x")))
	r.claims(nil)
	x1 := r.mustRun("x1")
	r.give(arrival("x1", 5, ordered("x"), hashed("two")))
	r.want("x1 nak held")
	r.succeed(x1)
	r.want("x1 ack handled")
	r.give(arrival("x9", 9, ordered("x")))
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v before sequence 5, which is another event", ids)
	}
}

// TestCopiesWithoutRoomOutliveTheirJob: copies that had no room beside a job which joins another
// one are expected when that ends without a letter.
func TestCopiesWithoutRoomOutliveTheirJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBytes = 600 })
	reused := map[string]dedupe.Claim{"x1": {State: dedupe.Reused}}
	r.give(arrival("x1", 1, hashed("two")))
	r.claims(reused)
	r.give(arrival("x1", 5, hashed("two")), arrival("x1", 7, hashed("two")))
	r.want("x1 nak held")
	r.claims(reused)
	r.settleOne(dedupe.GivenUp)
	r.LetterPublished(r.now, r.letter(), errAway)
	if n := r.Stats().Retrying; n != 3 {
		t.Errorf("%d redeliveries are expected, want those of sequences 1, 5 and 7", n)
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

// TestClaimOfADroppedCopyIsNotElsewhere: that a row may still be claimed by this process is known
// of a copy that arrives when the one that ran is gone, without its data.
func TestClaimOfADroppedCopyIsNotElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBytes = 300 })
	r.give(arrival("x1", 1, ordered("x")))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("x1"), Verdict{Kind: Unknown})
	r.pass(2 * time.Minute)
	r.wantDropped(1, dedupe.Held)
	r.Pause(r.now)
	r.give(arrival("x1", 5, ordered("x")))
	r.want("x1 nothing unresolved", "x1 nak given back")
	r.Resume()
	r.give(arrival("x9", 9, ordered("x")))
	r.pass(2 * time.Second)
	r.lookUp(map[string]dedupe.State{"x1": dedupe.Held}) // its lease is over, and nobody has taken it over
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v while the bus has another copy of x1", ids)
	}
	r.give(arrival("x1", 5, ordered("x"), arrivals(2)))
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1", ids)
	}
}

// TestRenewalUnderWayIsNoOtherOwner: a renewal that has no answer when its event is nacked may be
// applied later, and hold the event for nobody. Later events of its key wait.
func TestRenewalUnderWayIsNoOtherOwner(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]error{"not answered yet": nil, "failed": errAway} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.give(arrival("x1", 1, ordered("x")), arrival("x2", 2, ordered("x")))
			r.claims(map[string]dedupe.Claim{"x1": {State: dedupe.DeadLettering, HeldFor: 30 * time.Second, Reason: "why", Letter: "l"}})
			l := r.letter()
			r.pass(11 * time.Second)
			b := r.Renewals(r.now)
			if len(b.Items) != 1 {
				t.Fatalf("%d renewals, want that of x1", len(b.Items))
			}
			if answered != nil {
				r.Renewed(r.now, b, nil, answered)
			}
			r.LetterPublished(r.now, l, errAway)
			r.pass(time.Minute) // longer than a lease
			r.lookUp(map[string]dedupe.State{"x1": dedupe.Held})
			if ids := r.claims(nil); len(ids) != 0 {
				t.Fatalf("claimed %v while a renewal of this process may hold x1", ids)
			}
			r.lookUp(nil)
			r.pass(time.Minute)
			r.lookUp(map[string]dedupe.State{"x1": dedupe.Dead})
			if ids := r.claims(nil); !slices.Equal(ids, []string{"x2"}) {
				t.Fatalf("claimed %v once x1 is dead, want x2", ids)
			}
		})
	}
}
