package protocol

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// TestDeadLetter: dead-lettering, then the letter, then dead, then the ack.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 7))
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Fresh, Token: 5, HeldFor: time.Minute, Attempts: 2, Age: time.Hour}})
	r.Ran(r.now, r.mustRun("a"), Verdict{Kind: Failure, Error: "no", Stack: "at b.go"})
	if ls := r.Letters(r.now); len(ls) != 0 {
		t.Fatal("a letter before the row says so")
	}
	s := r.settleOne(dedupe.GivenUp)
	r.want()
	l := r.letter()
	if l.ID != s.Letter || l.ID != LetterID("g", l.Delivery.At, 5) || l.Reason != s.Reason || l.Error != "no" || l.Stack != "at b.go" {
		t.Errorf("letter %+v of settlement %+v", l, s)
	}
	if l.Attempts != 3 || l.Age != time.Hour || l.Key.ID != "a" || l.Tried || l.Rowless {
		t.Errorf("letter of %d attempts, %v old, of %v, tried before: %v", l.Attempts, l.Age, l.Key, l.Tried)
	}
	r.pass(10 * time.Second)
	r.want("a progress working")
	r.extendAll()
	r.LetterPublished(r.now, l, nil)
	r.want()
	r.settleOne(dedupe.DeadLettered)
	r.want("a ack dead")
	r.empty()
}

// TestLetterNotStored: a letter that cannot be stored leaves the event dead-lettering; the next
// claim dead-letters it under the same id.
func TestLetterNotStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 7))
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.DeadLettering, HeldFor: time.Minute, Reason: "why", Letter: "g/s@1/3/9"}})
	r.LetterPublished(r.now, r.letter(), errAway)
	r.want("a nak dead_letter_pending")
	if _, trouble := r.Trouble(); !errors.Is(trouble, errAway) {
		t.Errorf("trouble %v, want %v", trouble, errAway)
	}
	r.empty()
	r.pass(50 * time.Millisecond)
	r.give(arrival("a", 7, arrivals(2)))
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.DeadLettering, HeldFor: time.Minute, Reason: "why", Letter: "g/s@1/3/9"}})
	l := r.letter()
	if l.ID != "g/s@1/3/9" || l.Reason != "why" || l.Error != "" || !l.Tried || l.Rowless {
		t.Errorf("letter %+v, want what is stored, and that it was tried before", l)
	}
	r.LetterPublished(r.now, l, nil)
	if _, trouble := r.Trouble(); trouble != nil {
		t.Errorf("trouble %v after an answer", trouble)
	}
	r.settleOne(dedupe.DeadLettered)
	r.want("a ack dead")
}

// TestClaimLostWhileDeadLettering: who learns that the claim is another's tells the bus nothing.
func TestClaimLostWhileDeadLettering(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 7))
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.DeadLettering, HeldFor: time.Minute, Letter: "l"}})
	l := r.letter()
	r.pass(10 * time.Second)
	r.Answers()
	r.Renewed(r.now, r.Renewals(r.now), []error{dedupe.ErrSuperseded}, nil)
	r.LetterPublished(r.now, l, nil)
	r.want("a nothing lost")
	r.empty()
}

// TestRowless: a key that the store refuses has its letter, and no row; a malformed event is
// dead-lettered unrun.
func TestRowless(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("odd", 7), arrival("malformed", 8, func(a *Arrival) { a.DeadLetterReason = "malformed: no JSON" }))
	r.claims(map[string]dedupe.Claim{"odd": {Err: dedupe.ErrKeyRefused}})
	if j := r.run(); j != nil {
		t.Fatalf("%s runs", name(j))
	}
	l := r.letter()
	if !strings.HasPrefix(l.Reason, "refused: ") || l.ID != LetterID("g", l.Delivery.At, 0) || !l.Tried || !l.Rowless {
		t.Errorf("letter %+v", l)
	}
	r.LetterPublished(r.now, l, errAway)
	r.want("odd nak dead_letter_pending")
	r.pass(50 * time.Millisecond)
	r.give(arrival("odd", l.Delivery.At.Sequence, arrivals(2)))
	r.claims(map[string]dedupe.Claim{"odd": {Err: dedupe.ErrKeyRefused}})
	if again := r.letter(); again.ID != l.ID || !again.Tried {
		t.Errorf("letter %+v, want %q, and that it was tried before", again, l.ID)
	} else {
		r.LetterPublished(r.now, again, nil)
	}
	r.want("odd ack dead")
	if s := r.settleOne(dedupe.GivenUp); s.Reason != "malformed: no JSON" || s.CountAttempt {
		t.Errorf("given up: %+v", s)
	}
}

// TestLetterWithoutARow: a store that keeps marks alone does not say whether a letter was tried.
func TestLetterWithoutARow(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.ArrivalsAreAttempts = true })
	r.give(arrival("a", 1))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), Verdict{Kind: Permanent, Error: "no"})
	r.settleOne(dedupe.GivenUp)
	if l := r.letter(); !l.Tried || !l.Rowless {
		t.Errorf("letter %+v; want that it may have been tried, and that no row says when", l)
	}
}

// FuzzLetterID: letters of different events, or claims, have different ids.
func FuzzLetterID(f *testing.F) {
	f.Add("g", "s", uint64(1), int64(1), uint64(1), "g/s", "", uint64(1), int64(1), uint64(1))
	f.Add("a/b", "c", uint64(1), int64(1), uint64(1), "a", "b/c", uint64(1), int64(1), uint64(1))
	f.Add("a%2Fb", "c", uint64(1), int64(1), uint64(1), "a/b", "c", uint64(1), int64(1), uint64(1))
	f.Add("g", "s", uint64(1), int64(1), uint64(1), "g", "s", uint64(1), int64(1), uint64(2))
	f.Fuzz(func(t *testing.T, g1, s1 string, q1 uint64, at1 int64, n1 uint64, g2, s2 string, q2 uint64, at2 int64, n2 uint64) {
		id := func(g, s string, q uint64, at int64, token uint64) string {
			return LetterID(g, bus.Position{Stream: s, Sequence: q, Stored: time.Unix(0, at)}, token)
		}
		same := g1 == g2 && s1 == s2 && q1 == q2 && at1 == at2 && n1 == n2
		if a, b := id(g1, s1, q1, at1, n1), id(g2, s2, q2, at2, n2); (a == b) != same {
			t.Errorf("%q and %q", a, b)
		}
	})
}

// TestBurialsBoundFetching: while dead letters cannot be stored, no more events are fetched than
// look-ahead allows.
func TestBurialsBoundFetching(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency, c.MaxAhead = 4, 2 })
	r.give(arrival("a", 1), arrival("b", 2))
	r.claims(nil)
	r.Ran(r.now, r.run(), Verdict{Kind: Permanent})
	r.Ran(r.now, r.run(), Verdict{Kind: Permanent})
	r.settle(true)
	if n, ok := r.Fetch(r.now); n != 0 || ok {
		t.Errorf("fetches %d (%v) while two letters wait, with two ahead at most", n, ok)
	}
}

// TestDeadLetteringIsLeasedFromItsRequest: the lease while dead-lettering counts from when the
// settlement was sent, not from when it was answered.
func TestDeadLetteringIsLeasedFromItsRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.Ran(r.now, j, Verdict{Kind: Permanent})
	b, sent := r.Settlements(r.now), r.now
	r.pass(9 * time.Second)
	r.Settled(r.now, b, []error{nil}, nil)
	if left, want := j.Claim(r.now).HeldFor, sent.Add(30*time.Second).Sub(r.now); left != want {
		t.Errorf("%v of the lease are left 9s after it was asked for, want %v", left, want)
	}
	r.pass(time.Second)
	if e := r.Renewals(r.now); len(e.Items) != 1 {
		t.Errorf("%d renewals 10s after it was asked for, want 1", len(e.Items))
	}
}
