package protocol

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// owner owns its topic for a minute.
func owner(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, func(c *Config) { c.Owned = true })
	r.SetOwnedUntil(r.now.Add(time.Minute))
	return r
}

// TestWhatAnotherHasHoldsUpItsKey: an owner waits until what another process has is settled, or can
// be taken over; where all processes read the topic, the other sees to what comes later.
func TestWhatAnotherHasHoldsUpItsKey(t *testing.T) {
	t.Parallel()
	held := map[string]dedupe.Claim{"x1": {State: dedupe.Held, HeldFor: 20 * time.Second}}
	for _, owned := range []bool{true, false} {
		r := newRig(t, func(c *Config) { c.Owned = owned })
		r.SetOwnedUntil(r.now.Add(time.Hour))
		r.give(arrival("x1", 1, ordered("x")), arrival("x2", 2, ordered("x")))
		r.claims(held)
		r.want("x1 nak held")
		if ids := r.claims(nil); slices.Equal(ids, []string{"x2"}) == owned {
			t.Fatalf("owned %v: claimed %v after x1, which another has", owned, ids)
		}
	}
}

// TestTakenOverInItsPlace: what a former owner had is run before what comes later, once its lease
// is over.
func TestTakenOverInItsPlace(t *testing.T) {
	t.Parallel()
	r := owner(t)
	r.give(arrival("x1", 1, ordered("x")), arrival("x2", 2, ordered("x")))
	r.claims(map[string]dedupe.Claim{"x1": {State: dedupe.Held, HeldFor: 20 * time.Second}})
	for range 4 {
		r.pass(10 * time.Second)
		if asked, gone := r.lookUp(map[string]dedupe.State{"x1": dedupe.Held}, "x1"); len(asked) != 1 || len(gone) > 0 {
			t.Fatalf("looked up %v, and took %+v for dropped while another has it", asked, gone)
		}
		if ids := r.claims(nil); len(ids) > 0 {
			t.Fatalf("claimed %v while another has x1", ids)
		}
	}
	r.give(arrival("x1", 1, ordered("x"), arrivals(2)))
	r.claims(nil)
	r.succeed(r.mustRun("x1"))
	r.claims(nil)
	r.succeed(r.mustRun("x2"))
	r.empty()
}

// TestDoneElsewhereReleasesKey: once another process has settled what it had, later events start,
// without a redelivery.
func TestDoneElsewhereReleasesKey(t *testing.T) {
	t.Parallel()
	for _, state := range []dedupe.State{dedupe.Done, dedupe.Dead} {
		r := owner(t)
		r.give(arrival("x1", 1, ordered("x")), arrival("x2", 2, ordered("x")))
		r.claims(map[string]dedupe.Claim{"x1": {State: dedupe.Held, HeldFor: 20 * time.Second}})
		r.pass(2 * time.Second)
		r.lookUp(map[string]dedupe.State{"x1": state})
		r.claims(nil)
		r.succeed(r.mustRun("x2"))
	}
}

// TestSupersededHoldsUpItsKey: an owner whose claim was taken over does not go on to what comes
// later of the key.
func TestSupersededHoldsUpItsKey(t *testing.T) {
	t.Parallel()
	r := owner(t)
	r.give(arrival("x1", 1, ordered("x")), arrival("x2", 2, ordered("x")))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("x1"), Verdict{})
	r.settle(false)
	r.want("x1 nothing lost")
	if ids := r.claims(nil); len(ids) > 0 {
		t.Fatalf("claimed %v, and x1 is another's", ids)
	}
	r.pass(2 * time.Second)
	r.lookUp(map[string]dedupe.State{"x1": dedupe.Done})
	r.claims(nil)
	r.mustRun("x2")
}

// TestNothingStartsWithoutOwnership: from the end of its ownership on, whichever call shows it
// first, an owner fetches, claims and begins nothing; with a later end it goes on.
func TestNothingStartsWithoutOwnership(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Owned, c.Concurrency, c.Lease, c.AckWait = true, 3, time.Hour, time.Hour })
	if _, ok := r.Fetch(r.now); ok {
		t.Error("fetches before it owns the topic")
	}
	r.SetOwnedUntil(r.now.Add(time.Minute))
	r.give(arrival("gate", 1), arrival("ready", 2))
	r.claims(nil)
	gate := r.Next(r.now)
	r.give(arrival("asked", 3))
	b := r.Claims(r.now)
	r.give(arrival("queued", 4))

	r.now = r.now.Add(time.Minute)
	if _, ok := r.Fetch(r.now); ok {
		t.Error("fetches")
	}
	if ids := r.claims(nil); len(ids) > 0 {
		t.Errorf("claims %v", ids)
	}
	if j := r.Next(r.now); j != nil || r.Begin(r.now, gate) {
		t.Error("begins")
	}
	if due := r.Due(r.now); due.Runs || due.Fetch {
		t.Errorf("%+v is due", due)
	}
	r.Claimed(r.now, b, []dedupe.Claim{{Key: b.Items[0].Key, Nonce: b.Items[0].Nonce, HeldFor: time.Hour}}, nil)
	if ss := r.settle(true); len(ss) != 2 || ss[0].Outcome != dedupe.NotBegun || ss[1].Outcome != dedupe.NotBegun {
		t.Fatalf("settled %+v, want what was at the gate and what was asked for given back", ss)
	}
	r.want("gate nothing given back", "asked nothing given back")

	r.SetOwnedUntil(r.now.Add(time.Second))
	if _, ok := r.Fetch(r.now); !ok {
		t.Error("does not fetch although it owns the topic again")
	}
	r.mustRun("ready")
	if ids := r.claims(nil); !slices.Equal(ids, []string{"queued"}) {
		t.Errorf("claims %v, want what is queued", ids)
	}
}

// TestUnansweredClaimIsRepeatedWithoutOwnership: it may hold its event for nobody, and is given
// back.
func TestUnansweredClaimIsRepeatedWithoutOwnership(t *testing.T) {
	t.Parallel()
	r := owner(t)
	r.give(arrival("a", 1))
	b := r.Claims(r.now)
	r.Claimed(r.now, b, nil, errAway)
	r.pass(time.Minute)
	r.Lose(r.now, ErrPartitionLost)
	if ids := r.claims(nil); !slices.Equal(ids, []string{"a"}) {
		t.Fatalf("claimed %v, want what may be claimed already", ids)
	}
	r.settleOne(dedupe.NotBegun)
	r.want("a nothing given back")
	if !r.Drained() {
		t.Error("not drained")
	}
}

// TestWithoutOwnershipAnEndIsNoBound: a topic that all processes read has no owner.
func TestWithoutOwnershipAnEndIsNoBound(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.SetOwnedUntil(r.now.Add(-time.Hour))
	r.give(arrival("a", 1))
	r.claims(nil)
	r.mustRun("a")
}

// TestLosesPartition: nothing is told to the bus any more, also what was not taken yet; runs are
// cancelled with the cause; what has not begun is released, and what has run is settled.
func TestLosesPartition(t *testing.T) {
	t.Parallel()
	cause := errors.New("w2 owns it")
	r := newRig(t, func(c *Config) { c.Owned, c.Concurrency = true, 3 })
	r.SetOwnedUntil(r.now.Add(time.Minute))
	r.give(arrival("told", 1), arrival("done", 2), arrival("runs", 3), arrival("ready", 4), arrival("x1", 5, ordered("x")), arrival("x2", 6, ordered("x")))
	r.claims(nil)
	r.succeed(r.mustRun("told"))
	done, runs := r.mustRun("done"), r.mustRun("runs")
	r.Ran(r.now, done, Verdict{})

	r.Lose(r.now, cause)
	r.Lose(r.now, ErrPartitionLost)
	r.Pause(r.now) // it is paused all the same, as any other
	r.want("told nothing handled", "x2 nothing given back")
	if cs := r.Cancels(); len(cs) != 1 || cs[0].Job != runs || !errors.Is(cs[0].Cause, cause) {
		t.Fatalf("cancelled %+v, want what runs, with the cause", cs)
	}
	if _, ok := r.Fetch(r.now); ok || r.Drained() {
		t.Error("fetches, or is drained although something runs")
	}
	r.Ran(r.now, runs, fails("cancelled"))
	outcomes := make(map[string]dedupe.Outcome)
	for _, s := range r.settle(true) {
		outcomes[s.Claim.Key.ID] = s.Outcome
	}
	if len(outcomes) != 4 || outcomes["done"] != dedupe.Succeeded || outcomes["runs"] != dedupe.NotBegun ||
		outcomes["ready"] != dedupe.NotBegun || outcomes["x1"] != dedupe.NotBegun {
		t.Fatalf("settled %v", outcomes)
	}
	for _, a := range r.Answers() {
		if a.Kind != None {
			t.Errorf("%s is answered: %s", a.Delivery.Event.ID, kinds[a.Kind])
		}
	}
	r.give(arrival("late", 7))
	r.want("late nothing given back")
	r.empty()
	if !r.Drained() {
		t.Error("not drained although nothing is left")
	}
}

// TestLosesPartitionWhileDraining: a hand-over that takes too long ends as a loss.
func TestLosesPartitionWhileDraining(t *testing.T) {
	t.Parallel()
	r := owner(t)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.Drain(r.now)
	r.Lose(r.now, ErrPartitionLost)
	if cs := r.Cancels(); len(cs) != 1 || !errors.Is(cs[0].Cause, ErrPartitionLost) {
		t.Fatalf("cancelled %+v", cs)
	}
	r.pass(20 * time.Second)
	r.want() // the deadline of its delivery is not extended
	r.succeed(j)
	r.want("a nothing handled")
	if !r.Drained() {
		t.Error("not drained")
	}
}

// TestForsakenRunsAreLost: when a partition is lost, and what has begun cannot be settled in time,
// each claim is reported, whether its handler has returned or not.
func TestForsakenRunsAreLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Owned, c.Concurrency = true, 3 })
	r.SetOwnedUntil(r.now.Add(time.Minute))
	r.give(arrival("runs", 1), arrival("done", 2), arrival("ready", 3))
	r.claims(nil)
	runs, done := r.mustRun("runs"), r.mustRun("done")
	r.Ran(r.now, done, Verdict{})
	r.Lose(r.now, ErrPartitionLost)
	r.want()
	r.Forsake(r.now)
	r.want("runs nothing lost", "done nothing lost")
	if n, exposed := r.Stats().Lost, r.Exposure(); n != 2 || exposed != 0 {
		t.Errorf("%d are counted as lost, %d may start beside, want 2 and 0", n, exposed)
	}
	r.Ran(r.now, runs, Verdict{})
	r.want()
	if n := r.Stuck(); n != 0 {
		t.Errorf("%d handlers are stuck after they have returned", n)
	}
}

// TestRunThatIsCancelledByALossIsLost, even if its claim could be released: another process may
// have run the event meanwhile.
func TestRunThatIsCancelledByALossIsLost(t *testing.T) {
	t.Parallel()
	r := owner(t)
	r.give(arrival("x1", 1))
	r.claims(nil)
	j := r.mustRun("x1")
	r.Lose(r.now, ErrPartitionLost)
	r.Ran(r.now, j, Verdict{Kind: Failure, Error: "cancelled"})
	r.settleOne(dedupe.NotBegun)
	r.want("x1 nothing lost")
}
