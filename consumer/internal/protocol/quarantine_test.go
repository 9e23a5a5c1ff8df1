package protocol

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func crashed(n int) dedupe.Claim {
	return dedupe.Claim{State: dedupe.Fresh, HeldFor: 30 * time.Second, Token: 7, Crashes: n}
}

// TestSuspects: an event with one crash runs only beside others like it.
func TestSuspects(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 4 })
	r.give(arrival("runs", 1), arrival("ready", 2), arrival("gate", 3))
	r.claims(nil)
	running := r.mustRun("runs")
	gate := r.Next(r.now)
	r.give(arrival("one", 4), arrival("uno", 5), arrival("new", 6), arrival("two", 7))
	r.claims(map[string]dedupe.Claim{"one": crashed(1), "uno": crashed(1), "two": crashed(2)})
	if cs := r.Cancels(); len(cs) != 1 || cs[0].Job != gate || !errors.Is(cs[0].Cause, ErrNotStarted) {
		t.Fatalf("cancelled %+v, want what waits at the gate", cs)
	}
	r.Abandon(r.now, gate, 0)
	for _, s := range r.settle(true) {
		if s.Outcome != dedupe.NotBegun || s.Claim.Key.ID == "one" || s.Claim.Key.ID == "uno" {
			t.Errorf("%s: %v, want all but the suspects given back", s.Claim.Key.ID, s.Outcome)
		}
	}
	if _, ok := r.Fetch(r.now); ok {
		t.Error("fetches beside suspects")
	}
	if j := r.run(); j != nil {
		t.Fatalf("%s begins beside an innocent run", name(j))
	}
	r.succeed(running)
	one, uno := r.mustRun("one"), r.mustRun("uno")
	r.give(arrival("later", 8))
	if ids := r.claims(nil); len(ids) != 0 {
		t.Errorf("%v is claimed beside suspects", ids)
	}
	r.succeed(one)
	r.succeed(uno)
	if ids := r.claims(map[string]dedupe.Claim{"two": crashed(2)}); !slices.Equal(ids, []string{"two"}) {
		t.Errorf("claimed %v once the suspects are settled, want the one that must be alone", ids)
	}
	r.succeed(r.mustRun("two"))
	ids := r.claims(nil)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"gate", "later", "new", "ready"}) {
		t.Errorf("claimed %v after the quarantine, want all that was postponed, and what came", ids)
	}
}

// TestSolo: an event with two crashes is the process's only claim.
func TestSolo(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 4 })
	r.give(arrival("two", 1), arrival("dos", 2), arrival("one", 3))
	r.claims(map[string]dedupe.Claim{"two": crashed(2), "dos": crashed(2), "one": crashed(1)})
	if j := r.run(); j != nil {
		t.Fatalf("%s begins before the others are given back", name(j))
	}
	if ss := r.settle(true); len(ss) != 2 {
		t.Fatalf("%d given back, want 2", len(ss))
	}
	r.want() // they wait here for their turn
	if !r.Due(r.now).Runs {
		t.Error("two does not begin")
	}
	r.succeed(r.mustRun("two"))
	r.want("two ack handled")
	if !r.Due(r.now).Claims {
		t.Error("nobody is told that dos can be claimed")
	}
	if ids := r.claims(map[string]dedupe.Claim{"dos": crashed(2)}); !slices.Equal(ids, []string{"dos"}) {
		t.Errorf("claimed %v, want dos alone", ids)
	}
	if ids := r.claims(nil); len(ids) != 0 {
		t.Errorf("claimed %v beside dos", ids)
	}
	r.succeed(r.mustRun("dos"))
	r.want("dos ack handled")
	r.claims(map[string]dedupe.Claim{"one": crashed(1)})
	r.succeed(r.mustRun("one"))
	r.want("one ack handled")
	if _, ok := r.Fetch(r.now); !ok {
		t.Error("does not fetch after the quarantine")
	}
	r.empty()
}

// TestPostponedForLong: what waits for suspects for longer than a lease goes back to the bus.
func TestPostponedForLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("two", 1), arrival("new", 2))
	r.claims(map[string]dedupe.Claim{"two": crashed(2)})
	r.settle(true)
	r.want()
	r.mustRun("two")
	for range 12 {
		r.pass(5 * time.Second)
		r.Renewals(r.now)
	}
	naks := 0
	for _, a := range r.Answers() {
		if id := a.Delivery.Event.ID; a.Kind == Nak && a.Outcome == GivenBack && id == "new" {
			naks++
		} else if id == "new" && naks > 0 {
			t.Errorf("%s is told to the bus after the nak", outcomes[a.Outcome])
		}
	}
	if naks != 1 {
		t.Errorf("%d naks", naks)
	}
}

// TestSuspectWaits: a suspect that waits for a long run keeps its claim.
func TestSuspectWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("slow", 1))
	r.claims(nil)
	slow := r.mustRun("slow")
	r.give(arrival("one", 2))
	r.claims(map[string]dedupe.Claim{"one": crashed(1)})
	for range 30 {
		r.pass(5 * time.Second)
		b := r.Renewals(r.now)
		r.Renewed(r.now, b, make([]error, len(b.Items)), nil)
	}
	if b := r.Settlements(r.now); !b.Empty() {
		t.Fatalf("given back: %+v", b.Items)
	}
	r.succeed(slow)
	r.mustRun("one")
}

// TestFifthCrash is a dead letter, without a run, and no attempt.
func TestFifthCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(map[string]dedupe.Claim{"a": crashed(5)})
	if j := r.run(); j != nil {
		t.Fatal("runs")
	}
	if s := r.settleOne(dedupe.GivenUp); s.CountAttempt {
		t.Error("a crash is counted as an attempt")
	}
	if l := r.letter(); l.Crashes != 5 || l.Attempts != 0 {
		t.Errorf("letter of %d crashes and %d attempts, want 5 and 0", l.Crashes, l.Attempts)
	}
}

// TestSlowHandlerBesideASuspect: while a suspect waits for a handler that began before, nothing is
// fetched, and that is told, with how many handlers it waits for.
func TestSlowHandlerBesideASuspect(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 8 })
	r.give(arrival("slow", 1))
	r.claims(nil)
	slow := r.mustRun("slow")
	r.give(arrival("one", 2))
	r.claims(map[string]dedupe.Claim{"one": crashed(1)})
	r.pass(time.Second)
	since := r.now
	r.pass(time.Minute)
	if n, at := r.Isolating(); n != 1 || !at.Equal(since) {
		t.Errorf("%d runs are waited for since %v, want 1 since %v", n, at, since)
	}
	if n, ok := r.Fetch(r.now); n != 0 || ok {
		t.Errorf("fetches %d (%v) beside a suspect", n, ok)
	}
	r.extendAll()
	r.succeed(slow)
	r.pass(time.Second)
	if n, _ := r.Isolating(); n != 0 {
		t.Errorf("%d runs are waited for once none is left", n)
	}
	r.mustRun("one")
}

// TestSolosAreFetchedFor nothing else: while an event that must be the only claim waits for its
// turn, no other is asked for.
func TestSolosAreFetchedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 8 })
	r.give(arrival("one", 1), arrival("two", 2))
	r.claims(map[string]dedupe.Claim{"one": crashed(2), "two": crashed(2)})
	r.settle(true)
	one := r.mustRun("one")
	r.succeed(one)
	if n, ok := r.Fetch(r.now); n != 0 || ok {
		t.Errorf("fetches %d (%v) while another one waits to be the only claim", n, ok)
	}
	r.claims(map[string]dedupe.Claim{"two": crashed(2)})
	r.succeed(r.mustRun("two"))
	if n, _ := r.Fetch(r.now); n == 0 {
		t.Error("fetches nothing after the last of them")
	}
}
