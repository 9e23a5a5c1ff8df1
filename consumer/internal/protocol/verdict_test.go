package protocol

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestVerdicts: what a run's end makes of its claim.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	for _, c := range []struct {
		name    string
		claim   dedupe.Claim
		maxAge  time.Duration
		verdict Verdict
		want    dedupe.Outcome
		after   time.Duration
		reason  string
		counted bool
	}{
		{name: "success", want: dedupe.Succeeded},
		{name: "first failure", verdict: fails("no"), want: dedupe.Failed, after: 500 * time.Millisecond},
		{name: "second failure", claim: dedupe.Claim{Attempts: 1}, verdict: fails("no"), want: dedupe.Failed, after: time.Second},
		{
			name: "last failure", claim: dedupe.Claim{Attempts: 2}, verdict: fails("no"),
			want: dedupe.GivenUp, reason: "failed 3 times, the last time with: no", counted: true,
		},
		{name: "timed", verdict: Verdict{Kind: Failure, Timed: true, After: time.Hour}, want: dedupe.Failed, after: time.Hour},
		{name: "permanent", verdict: Verdict{Kind: Permanent, Error: "never"}, want: dedupe.GivenUp, reason: "permanent: never", counted: true},
		{name: "snooze", claim: dedupe.Claim{Attempts: 2}, verdict: Verdict{Kind: Snooze, Timed: true, After: time.Hour}, want: dedupe.NotBegun, after: time.Hour},
		{
			name: "snooze is cut", claim: dedupe.Claim{Age: week/2 - time.Minute},
			verdict: Verdict{Kind: Snooze, Timed: true, After: time.Hour}, want: dedupe.NotBegun, after: time.Minute,
		},
		{
			name: "snooze too old", claim: dedupe.Claim{Age: week / 2}, verdict: Verdict{Kind: Snooze, Timed: true, After: time.Hour},
			want: dedupe.GivenUp, reason: "too old: not done 84h0m0s after its first claim: ",
		},
		{
			name: "failure too old", claim: dedupe.Claim{Age: week / 2}, verdict: fails("no"),
			want: dedupe.GivenUp, reason: "too old: not done 84h0m0s after its first claim: no", counted: true,
		},
		{
			name: "due after the stream's age", maxAge: time.Hour, verdict: Verdict{Kind: Snooze, Timed: true, After: time.Second},
			want: dedupe.GivenUp, reason: "too old: due after the stream's age limit of 1h0m0s: ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(cfg *Config) { cfg.MaxAge = c.maxAge })
			c.claim.HeldFor = time.Minute
			r.give(arrival("a", 1))
			r.claims(map[string]dedupe.Claim{"a": c.claim})
			j := r.mustRun("a")
			if j.Attempt() != c.claim.Attempts+1 {
				t.Errorf("attempt %d, want %d", j.Attempt(), c.claim.Attempts+1)
			}
			r.Ran(r.now, j, c.verdict)
			s := r.settleOne(c.want)
			if s.After != c.after || s.Reason != c.reason || s.CountAttempt != c.counted || s.TTL != week || s.Lease != 30*time.Second {
				t.Errorf("settled %+v, want after %v, reason %q, counted %v", s, c.after, c.reason, c.counted)
			}
		})
	}
}

// TestReasonIsCut at what a store keeps.
func TestReasonIsCut(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), Verdict{Kind: Permanent, Error: strings.Repeat("x", dedupe.MaxReason)})
	if s := r.settleOne(dedupe.GivenUp); len(s.Reason) != dedupe.MaxReason {
		t.Errorf("a reason of %d bytes, want %d", len(s.Reason), dedupe.MaxReason)
	}
}

// extendAll has the store renew what is to be renewed.
func (r *rig) extendAll() {
	r.Helper()
	b := r.Renewals(r.now)
	r.Renewed(r.now, b, make([]error, len(b.Items)), nil)
}

// atLimit has a run reach its limit.
func (r *rig) atLimit() *Job {
	r.Helper()
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	for range 90 {
		r.pass(10 * time.Second)
		r.extendAll()
	}
	if cs := r.Cancels(); len(cs) != 1 || !errors.Is(cs[0].Cause, ErrRunLimit) {
		r.Fatalf("cancelled %+v, want the run, for its limit", cs)
	}
	r.Answers()
	return j
}

// TestRunLimit: a run that returns at its limit is an attempt, or a success.
func TestRunLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.Ran(r.now, r.atLimit(), fails("cancelled"))
	r.settleOne(dedupe.Failed)

	r = newRig(t, nil)
	r.Ran(r.now, r.atLimit(), Verdict{})
	r.settleOne(dedupe.Succeeded)
}

// TestStuck: a handler that does not return is counted, keeps its slot, and its key does not run a
// second time beside it.
func TestStuck(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	j := r.atLimit()
	r.pass(10*time.Second - 1)
	if r.Stuck() != 0 {
		t.Fatal("counted before its grace is over")
	}
	r.pass(1)
	r.settleOne(dedupe.Failed)
	r.want("a nak failed")
	if s := r.Stats(); r.Stuck() != 1 || s.InFlight != 1 {
		t.Errorf("%d stuck, %d in flight, want 1 and 1", r.Stuck(), s.InFlight)
	}
	r.give(arrival("a", 1, arrivals(2)), arrival("b", 2), arrival("c", 3))
	r.want("a nak held")
	r.claims(nil)
	r.mustRun("b")
	if c := r.run(); c != nil {
		t.Errorf("%s takes the slot of the handler that is stuck", name(c))
	}
	r.Ran(r.now, j, Verdict{})
	r.mustRun("c")
	r.give(arrival("a", 1, arrivals(3)))
	if ids := r.claims(nil); len(ids) != 1 {
		t.Errorf("claimed %v once the handler is back, want a", ids)
	}
}

// TestFrozenAtLimit: a process that was frozen grants the grace from when it can tell the handler.
func TestFrozenAtLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.pass(time.Hour)
	if cs := r.Cancels(); len(cs) != 1 || r.Stuck() != 0 {
		t.Fatalf("cancelled %+v, %d stuck, want one and none", cs, r.Stuck())
	}
	if r.pass(time.Second); r.Stuck() != 0 {
		t.Fatal("counted a second after it was told")
	}
	r.Ran(r.now, j, Verdict{})
	r.settleOne(dedupe.Succeeded)
}

// TestArrivalsAreAttempts: where the store counts nothing, arrivals do.
func TestArrivalsAreAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.ArrivalsAreAttempts = true })
	r.give(arrival("a", 1, arrivals(3)))
	r.claims(nil)
	j := r.mustRun("a")
	if j.Attempt() != 3 {
		t.Errorf("attempt %d at the third arrival", j.Attempt())
	}
	r.Ran(r.now, j, fails("no"))
	r.settleOne(dedupe.GivenUp)
}

// TestBackoff doubles from its base to its bound, and is drawn from all of that.
func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{Base: time.Second, Max: 5 * time.Second}
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 4000: 5 * time.Second} {
		if got := b.delayAfter(attempt, 1); got != want {
			t.Errorf("after attempt %d at most %v, want %v", attempt, got, want)
		}
		if got := b.delayAfter(attempt, 0); got != 0 {
			t.Errorf("after attempt %d at least %v, want 0", attempt, got)
		}
	}
	for arrivals, want := range map[int]time.Duration{1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 8: 5 * time.Second, 900: 5 * time.Second} {
		if got := shortBackoff(arrivals); got != want {
			t.Errorf("held at arrival %d: %v, want %v", arrivals, got, want)
		}
	}
}
