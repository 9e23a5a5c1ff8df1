package dedupetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/dedupe"
)

func attemptCases() []testcase {
	return []testcase{
		{"Attempts/a key that never failed has none", attemptsNone},
		{"Attempts/are kept exactly, in order, the last ones", attemptsInOrder},
		{"Attempts/are added once", attemptsAddedOnce},
		{"Attempts/are counted once under two claims of one request", attemptsOfLateClaim},
		{"Attempts/are added by owners alone", attemptsByOwners},
		{"Attempts/survive a takeover", attemptsTakenOver},
		{"Attempts/survive a dead letter and a takeover of it", attemptsDeadLettering},
		{"Attempts/of a row that is gone", attemptsAbsent},
		{"Attempts/are gone with their row", attemptsExpire},
		{"Attempts/are cut", attemptsCut},
	}
}

// attempt is the n-th of a claim, with nothing in it that a store cannot keep exactly.
func attempt(c dedupe.Claim, n int) *dedupe.Attempt {
	return &dedupe.Attempt{
		Number: n, Ended: time.UnixMilli(1_700_000_000_000 + int64(n)).UTC(), Took: time.Duration(n)*time.Second + 1,
		Process: fmt.Sprintf("host-%d/4711", n), Token: c.Token, Sequence: 1<<53 + uint64(n),
		Error: fmt.Sprintf("attempt %d: 422 \"card declined\"\n\t💥", n),
	}
}

// failedAttempt is the settlement of a claim whose n-th attempt failed.
func failedAttempt(c dedupe.Claim, n int) dedupe.Settlement {
	s := end(c, dedupe.Failed)
	s.Attempt = attempt(c, n)
	return s
}

// failAttempts runs attempts from first to last, and returns what history should have of them.
func (k *kit) failAttempts(t *testing.T, key dedupe.Key, first, last int) (history []dedupe.Attempt) {
	t.Helper()
	for n := first; n <= last; n++ {
		s := failedAttempt(k.fresh(t, key), n)
		k.settled(t, s)
		history = append(history, *s.Attempt)
	}
	return history
}

// sameHistory compares what is kept of a key with what should be.
func sameHistory(t *testing.T, key dedupe.Key, got, want []dedupe.Attempt) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: a history of %d attempts, want %d: %+.200v", short(key), len(got), len(want), got)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: attempt %d of %d in its history is %+.500v, want %+.500v", short(key), i+1, len(got), got[i], want[i])
		}
	}
}

func attemptsNone(t *testing.T, k *kit) {
	a := key("a")
	sameHistory(t, a, k.fresh(t, a).History, nil)
	b := k.fresh(t, key("b"))
	k.settled(t, end(b, dedupe.Failed)) // without an attempt
	k.settled(t, end(k.fresh(t, b.Key), dedupe.NotBegun))
	sameHistory(t, b.Key, k.fresh(t, b.Key).History, nil)
}

// attemptsInOrder adds one more than are kept, of runs that count and of such that do not.
func attemptsInOrder(t *testing.T, k *kit) {
	a := key("a")
	var want []dedupe.Attempt
	for n := 1; n <= dedupe.MaxHistory+2; n++ {
		c := k.fresh(t, a)
		sameHistory(t, a, c.History, want)
		s := failedAttempt(c, n)
		if n%3 == 0 {
			s.Outcome = dedupe.NotBegun
		}
		k.settled(t, s)
		want = append(want, *s.Attempt)
		want = want[max(0, len(want)-dedupe.MaxHistory):]
	}
	c := k.fresh(t, a)
	sameHistory(t, a, c.History, want)
	counts(t, c, 8, 0)
}

func attemptsAddedOnce(t *testing.T, k *kit) {
	a := k.fresh(t, key("a"))
	s := failedAttempt(a, 1)
	for range 3 {
		k.settled(t, s)
	}
	c := k.fresh(t, a.Key)
	sameHistory(t, a.Key, c.History, []dedupe.Attempt{*s.Attempt})
	givenUp := end(c, dedupe.GivenUp)
	givenUp.Attempt = attempt(c, 2)
	for range 3 {
		k.settled(t, givenUp)
	}
	k.settled(t, end(c, dedupe.DeadLettered))
	k.settled(t, givenUp) // late
	if k.reopener != nil {
		k.reopen(t, a.Key)
		sameHistory(t, a.Key, k.fresh(t, a.Key).History, []dedupe.Attempt{*s.Attempt, *givenUp.Attempt})
	}
}

// attemptsOfLateClaim: a request that is applied once more when another owner has had the key wins
// again. A settlement that is applied once more then adds and counts nothing. Another attempt under
// that nonce does.
func attemptsOfLateClaim(t *testing.T, k *kit) {
	r := k.request(key("a"))
	s := failedAttempt(k.claim(t, r, dedupe.Fresh), 1)
	k.settled(t, s)
	lateClaim := func() dedupe.Claim {
		k.settled(t, end(k.fresh(t, r.Key), dedupe.NotBegun))
		return k.claim(t, r, dedupe.Fresh)
	}
	for _, s.Outcome = range []dedupe.Outcome{dedupe.Failed, dedupe.NotBegun} {
		lateClaim()
		k.settled(t, s)
	}
	other := failedAttempt(lateClaim(), 2)
	k.settled(t, other)
	givenUp := end(lateClaim(), dedupe.GivenUp)
	givenUp.Attempt, givenUp.CountAttempt = s.Attempt, true
	k.settled(t, givenUp)
	c := k.claim(t, r, dedupe.DeadLettering)
	counts(t, c, 2, 0)
	sameHistory(t, r.Key, c.History, []dedupe.Attempt{*s.Attempt, *other.Attempt})
}

func attemptsByOwners(t *testing.T, k *kit) {
	old := k.fresh(t, key("a"))
	k.settled(t, end(old, dedupe.NotBegun))
	c := k.fresh(t, old.Key)
	k.refused(t, failedAttempt(old, 7))
	k.settled(t, end(c, dedupe.NotBegun))
	sameHistory(t, old.Key, k.fresh(t, old.Key).History, nil)
}

func attemptsTakenOver(t *testing.T, k *kit) {
	a := key("a")
	want := k.failAttempts(t, a, 1, 2)
	r := k.brief(a)
	c := k.claim(t, r, dedupe.Fresh)
	k.lapse(t)
	k.extended(t, c, k.h.Lease, true)
	k.lapse(t)
	b := k.brief(a)
	sameHistory(t, a, k.claim(t, b, dedupe.Fresh).History, want)
	sameHistory(t, a, k.claim(t, b, dedupe.Fresh).History, want) // repeated
	k.lapse(t)
	c = k.fresh(t, a)
	counts(t, c, 2, 2)
	sameHistory(t, a, c.History, want)
}

func attemptsDeadLettering(t *testing.T, k *kit) {
	a := key("a")
	want := k.failAttempts(t, a, 1, 2)
	c := k.fresh(t, a)
	s := end(c, dedupe.GivenUp)
	s.Attempt, s.CountAttempt, s.Lease = attempt(c, 3), true, k.h.Lease
	k.settled(t, s)
	want = append(want, *s.Attempt)
	k.lapse(t)
	b := k.claim(t, k.request(a), dedupe.DeadLettering)
	sameHistory(t, a, b.History, want)
	letter(t, b)
	counts(t, b, 3, 0)
	k.settled(t, end(b, dedupe.DeadLettered))
	if k.reopener != nil {
		k.reopen(t, a)
		c = k.fresh(t, a)
		sameHistory(t, a, c.History, want)
		counts(t, c, 0, 0)
	}
}

// attemptsAbsent: whoever writes a row again knows the history of its claim.
func attemptsAbsent(t *testing.T, k *kit) {
	before := []dedupe.Attempt{*attempt(dedupe.Claim{Token: 1}, 1), *attempt(dedupe.Claim{Token: 1}, 2)}
	vanished := func(id string) dedupe.Claim {
		c := k.vanished(id)
		c.History = before
		return c
	}
	failed, extended, givenUp := vanished("failed"), vanished("extended"), vanished("given up")
	s := failedAttempt(failed, 3)
	x := end(givenUp, dedupe.GivenUp)
	x.Attempt = attempt(givenUp, 3)
	for range 2 { // a repeat adds nothing
		k.settled(t, s)
		k.settled(t, x)
	}
	want := slices.Concat(before, []dedupe.Attempt{*s.Attempt})
	sameHistory(t, failed.Key, k.fresh(t, failed.Key).History, want)
	r := k.request(givenUp.Key)
	r.Nonce = givenUp.Nonce
	sameHistory(t, givenUp.Key, k.claim(t, r, dedupe.DeadLettering).History, want)
	k.extended(t, extended, lasting, true)
	k.settled(t, failedAttempt(extended, 3))
	sameHistory(t, extended.Key, k.fresh(t, extended.Key).History, want)
}

func attemptsExpire(t *testing.T, k *kit) {
	s := failedAttempt(k.fresh(t, key("a")), 1)
	s.TTL = k.h.TTL
	k.settled(t, s)
	k.expire(t)
	k.present(t, s.Claim.Key)
	sameHistory(t, s.Claim.Key, k.fresh(t, s.Claim.Key).History, nil)
}

// attemptsCut: whatever a handler returns, the settlement is carried out, and the history can be
// read.
func attemptsCut(t *testing.T, k *kit) {
	texts := map[string]string{
		"max": strings.Repeat("r", dedupe.MaxAttemptError), "over": strings.Repeat("r", dedupe.MaxAttemptError+1),
		"huge": strings.Repeat("0123456789abcdef", 1<<16), "wide": strings.Repeat("é💥", dedupe.MaxAttemptError),
		"NUL": "a\x00b", "no UTF-8": "a\xff\xfe", "never UTF-8": strings.Repeat("\xff\xfea", 1<<19),
		"controls": strings.Repeat("\x01\"\\\u2028", 1<<10), "markup": "$where: {\"a\": ::%00}\n\t$$ROOT",
	}
	for name, text := range texts {
		for n := range dedupe.MaxHistory + 1 {
			s := failedAttempt(k.fresh(t, key(name)), n)
			s.Attempt.Error, s.Attempt.Process = text, text
			k.settled(t, s)
		}
	}
	for name, text := range texts {
		history := k.fresh(t, key(name)).History
		if len(history) != dedupe.MaxHistory {
			t.Errorf("%s: a history of %d attempts, want %d", name, len(history), dedupe.MaxHistory)
		}
		for _, a := range history {
			if err := errors.Join(cutOf(text, a.Error, dedupe.MaxAttemptError), cutOf(text, a.Process, dedupe.MaxAttemptProcess)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// cutOf returns an error unless got is what a store keeps of a text.
func cutOf(text, got string, limit int) error {
	switch {
	case len(got) > limit || !utf8.ValidString(got):
		return fmt.Errorf("%d bytes are kept, UTF-8: %t; want at most %d, in UTF-8", len(got), utf8.ValidString(got), limit)
	case utf8.ValidString(text) && !strings.Contains(text, "\x00") && (!strings.HasPrefix(text, got) || len(got) < min(len(text), limit-utf8.UTFMax+1)):
		return fmt.Errorf("%d bytes became %d others", len(text), len(got))
	case got == "":
		return errors.New("nothing of it is kept")
	}
	return nil
}
