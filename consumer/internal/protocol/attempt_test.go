package protocol

import (
	"reflect"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestFailedRunsAreAttempts: a run that failed is in the history of its event, whatever it counts
// as; a success and a snooze are not.
func TestFailedRunsAreAttempts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		verdict Verdict
		outcome dedupe.Outcome
		want    string // its error; empty: it is none
	}{
		{"failure", fails("no"), dedupe.Failed, "no"},
		{"permanent", Verdict{Kind: Permanent, Error: "never"}, dedupe.GivenUp, "never"},
		{"throttled", Verdict{Kind: Throttled, Error: "slow down"}, dedupe.NotBegun, "slow down"},
		{"unavailable", Verdict{Kind: Unavailable, Own: Failure, Error: "no answer"}, dedupe.NotBegun, "no answer"},
		{"conflicted", Verdict{Kind: Conflicted, Error: "conflict"}, dedupe.NotBegun, "conflict"},
		{"snooze", Verdict{Kind: Snooze, Timed: true, After: time.Second}, dedupe.NotBegun, ""},
		{"success", Verdict{Kind: Success}, dedupe.Succeeded, ""},
		{"not begun", Verdict{Kind: NotBegun}, dedupe.NotBegun, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(cfg *Config) { cfg.Process = "host:7" })
			r.give(arrival("a", 9))
			r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Fresh, HeldFor: time.Minute, Attempts: 1, Token: 5}})
			j := r.mustRun("a")
			r.pass(3 * time.Second)
			r.Ran(r.now, j, c.verdict)
			s := r.settleOne(c.outcome)
			if c.want == "" {
				if s.Attempt != nil {
					t.Errorf("attempt %+v, want none", *s.Attempt)
				}
				return
			}
			want := dedupe.Attempt{Number: 2, Ended: r.now, Took: 3 * time.Second, Process: "host:7", Token: 5, Sequence: 9, Error: c.want}
			if s.Attempt == nil || *s.Attempt != want {
				t.Errorf("attempt %+v, want %+v", s.Attempt, want)
			}
		})
	}
}

// TestCancelledRunIsAnAttempt: it may have made a part of its effect.
func TestCancelledRunIsAnAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.Drain(r.now)
	r.CancelRuns(errAway)
	r.Ran(r.now, j, fails("context canceled"))
	if s := r.settleOne(dedupe.NotBegun); s.Attempt == nil || s.Attempt.Error != "context canceled" || s.Attempt.Number != 1 {
		t.Errorf("attempt %+v, want the one that was cancelled", s.Attempt)
	}
}

// TestGivenUpUnrunHasNoAttempt: nobody ran what is given up for its crashes.
func TestGivenUpUnrunHasNoAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	before := []dedupe.Attempt{{Number: 1, Error: "before"}}
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Fresh, HeldFor: time.Minute, Crashes: 99, History: before}})
	if s := r.settleOne(dedupe.GivenUp); s.Attempt != nil {
		t.Errorf("attempt %+v, want none", *s.Attempt)
	}
	if l := r.letter(); !reflect.DeepEqual(l.History, before) {
		t.Errorf("the letter has the history %+v, want %+v", l.History, before)
	}
}

// TestLetterHasAllAttempts: those before the claim, and the one that gave the event up; also after
// its settlement was repeated.
func TestLetterHasAllAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	before := []dedupe.Attempt{{Number: 1, Error: "first"}, {Number: 2, Error: "second"}}
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Fresh, HeldFor: time.Minute, Attempts: 2, History: before}})
	r.Ran(r.now, r.mustRun("a"), fails("third"))
	b := r.Settlements(r.now)
	r.Settled(r.now, b, nil, errAway)
	r.pass(time.Second)
	again := r.settleOne(dedupe.GivenUp)
	if *again.Attempt != *b.Items[0].Attempt || len(again.Claim.History) != 2 {
		t.Errorf("repeated with %+v after %d, want %+v after 2", *again.Attempt, len(again.Claim.History), *b.Items[0].Attempt)
	}
	l := r.letter()
	if len(l.History) != 3 || l.History[0] != before[0] || l.History[2].Number != 3 || l.History[2].Error != "third" {
		t.Errorf("the letter has the history %+v, want all three", l.History)
	}
	r.LetterPublished(r.now, l, nil)
	if s := r.settleOne(dedupe.DeadLettered); s.Attempt != nil || len(s.Claim.History) != 3 {
		t.Errorf("dead with %d attempts and %v, want what the letter has", len(s.Claim.History), s.Attempt)
	}
}
