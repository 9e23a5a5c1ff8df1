package protocol

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestPauseGivesBack: once paused nothing begins, what has not begun goes back, what runs goes on.
func TestPauseGivesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 2 })
	r.give(arrival("runs", 1), arrival("gate", 2), arrival("ready", 3))
	r.claims(nil)
	running, gate := r.mustRun("runs"), r.Next(r.now)
	r.give(arrival("asked", 4))
	b := r.Claims(r.now)
	r.give(arrival("queued", 5), arrival("x1", 6, ordered("x")), arrival("x2", 7, ordered("x")))
	r.Pause(r.now)
	r.Pause(r.now)
	r.want("queued nak given back", "x1 nak given back", "x2 nak given back")
	if r.Begin(r.now, gate) || r.run() != nil {
		t.Fatal("begins while paused")
	}
	r.Claimed(r.now, b, []dedupe.Claim{{Key: b.Items[0].Key, Nonce: b.Items[0].Nonce, HeldFor: time.Minute}}, nil)
	if ss := r.settle(true); len(ss) != 3 || slices.ContainsFunc(ss, func(s dedupe.Settlement) bool { return s.Outcome != dedupe.NotBegun }) {
		t.Fatalf("settled %+v, want three given back", ss)
	}
	r.want("ready nak given back", "gate nak given back", "asked nak given back")
	r.succeed(running)
	r.want("runs ack handled")
	r.give(arrival("late", 8))
	r.want("late nak given back")
	r.empty()
	r.Resume()
	r.give(arrival("on", 9))
	r.claims(nil)
	r.mustRun("on")
}

// TestCutShortIsGivenBack: what a handler says once it was cut short is no verdict of its event,
// nor of the receiver.
func TestCutShortIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []VerdictKind{Failure, Permanent, Snooze, Throttled, Unavailable} {
		r := newRig(t, nil)
		r.give(arrival("a", 1))
		r.claims(nil)
		j := r.mustRun("a")
		r.Drain(r.now)
		r.CancelRuns(errors.New("told to end"))
		r.Ran(r.now, j, Verdict{Kind: kind, Error: "cut short"})
		r.settleOne(dedupe.NotBegun)
		r.want("a nak given back")
	}
}

// TestReadOut: while paused or draining, what was asked for is read out.
func TestReadOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if n, ok := r.Fetch(r.now); n != 2 || !ok {
		t.Fatalf("fetches %d (%v), want 2", n, ok)
	}
	r.Drain(r.now)
	r.Drain(r.now)
	r.give() // of the fetch that was under way
	for _, came := range []int{1, 0} {
		if n, ok := r.Fetch(r.now); n != 0 || !ok || r.Drained() {
			t.Fatalf("fetches %d (%v), drained %v, want to read out", n, ok, r.Drained())
		}
		r.give(slices.Repeat([]Arrival{arrival("a", 1)}, came)...)
	}
	if r.Drained() {
		t.Error("drained before the bus was told")
	}
	r.want("a nak given back")
	if _, ok := r.Fetch(r.now); ok || !r.Drained() {
		t.Errorf("fetches %v, drained %v, want the end", ok, r.Drained())
	}
}

// TestReadOutAgain: what was read out once is read out again after the next fetch.
func TestReadOutAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for range 2 {
		r.Pause(r.now)
		if n, ok := r.Fetch(r.now); n != 0 || !ok {
			t.Fatalf("fetches %d (%v) while paused, want to read out", n, ok)
		}
		r.give()
		if _, ok := r.Fetch(r.now); ok {
			t.Fatal("reads out what is read out")
		}
		r.Resume()
		if n, ok := r.Fetch(r.now); n == 0 || !ok {
			t.Fatalf("fetches %d (%v) after Resume", n, ok)
		}
		r.give()
	}
}

// TestCutShort: what still runs when the time of a drain is over is cancelled, and counts nothing.
func TestCutShort(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.Drain(r.now)
	cause := errors.New("time is over")
	r.CancelRuns(cause)
	if cs := r.Cancels(); len(cs) != 1 || !errors.Is(cs[0].Cause, cause) {
		t.Fatalf("cancelled %+v", cs)
	}
	r.Ran(r.now, j, fails("cancelled"))
	r.settleOne(dedupe.NotBegun)
	r.Fetch(r.now)
	r.give()
	r.want("a nak given back")
	if !r.Drained() {
		t.Error("not drained")
	}
}
