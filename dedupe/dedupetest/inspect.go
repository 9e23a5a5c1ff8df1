package dedupetest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func inspectCases(able *kit) []testcase {
	all := []testcase{
		{"Inspect/of what is not kept", inspectNothing},
		{"Inspect/each phase", inspectPhases},
		{"Inspect/a mark", inspectMark},
		{"Inspect/attempts", inspectAttempts},
		{"Inspect/changes nothing", inspectChangesNothing},
		{"Inspect/keys may repeat", inspectRepeatedKeys},
		{"Inspect/large batches", inspectBatch},
		{"Inspect/an ended context", inspectEndedContext},
	}
	if able.reopener != nil {
		all = append(all, testcase{"Inspect/what was reopened", inspectReopened})
	}
	if able.s.Newer != nil {
		all = append(all, testcase{"Inspect/a row of a later version", inspectNewer})
	}
	return all
}

func (k *kit) inspect(t *testing.T, keys ...dedupe.Key) []dedupe.Entry {
	t.Helper()
	es, err := k.inspector.Inspect(t.Context(), keys)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	if len(es) != len(keys) {
		t.Fatalf("Inspect answers %d entries to %d keys", len(es), len(keys))
	}
	return es
}

// entry wants a key to be in a phase, under its last claim.
func (k *kit) entry(t *testing.T, c dedupe.Claim, want dedupe.Phase) dedupe.Entry {
	t.Helper()
	e := k.inspect(t, c.Key)[0]
	if e.Err != nil || e.Phase != want || e.Token != c.Token {
		t.Errorf("%s: %v under token %d (%v), want %v under token %d", c.Key, e.Phase, e.Token, e.Err, want, c.Token)
	}
	if e.Owner != "" && e.Owner != c.Nonce {
		t.Errorf("%s: its owner is %q, want %q, or none from a store that keeps no nonces", c.Key, e.Owner, c.Nonce)
	}
	within(t, c.Key, "the row is kept for", e.ExpiresIn, keeping)
	sameHash(t, c.Key, e.Hash, hashA)
	return e
}

// within wants a duration that was just begun.
func within(t *testing.T, key dedupe.Key, what string, got, want time.Duration) {
	t.Helper()
	if got > want+leeway || got < want-want/4 {
		t.Errorf("%s: %s %v, want about %v", short(key), what, got, want)
	}
}

func isZeroEntry(e dedupe.Entry) bool {
	return reflect.DeepEqual(e, dedupe.Entry{}) //nolint:govet // an error beside none is unequal, as it has to be
}

func entryCounts(t *testing.T, key dedupe.Key, e dedupe.Entry, attempts, crashes int) {
	t.Helper()
	counts(t, dedupe.Claim{Key: key, Attempts: e.Attempts, Crashes: e.Crashes}, attempts, crashes)
}

func inspectNothing(t *testing.T, k *kit) {
	r := k.brief(key("over"))
	r.TTL = k.h.TTL
	k.claim(t, r, dedupe.Fresh)
	k.expire(t)
	k.present(t, r.Key)
	for i, e := range k.inspect(t, key("unknown"), r.Key) {
		if !isZeroEntry(e) {
			t.Errorf("key %d: %+v, want the zero Entry", i, e)
		}
	}
	k.inspect(t)
}

func inspectPhases(t *testing.T, k *kit) {
	a := key("a")
	k.claim(t, k.brief(a), dedupe.Fresh)
	k.lapse(t)
	c := k.fresh(t, a)
	e := k.entry(t, c, dedupe.PhaseClaimed)
	entryCounts(t, a, e, 0, 1)
	within(t, a, "the lease is left for", e.HeldFor, lasting)
	if e.Age < k.h.Lease {
		t.Errorf("its age is %v, and a lease of %v is over", e.Age, k.h.Lease)
	}
	s := end(c, dedupe.Failed)
	s.After = lasting / 2
	k.settled(t, s)
	e = k.entry(t, c, dedupe.PhaseFree)
	entryCounts(t, a, e, 1, 1)
	within(t, a, "due in", e.HeldFor, lasting/2)

	b := k.deadLetteringKey(t, key("b"), lasting)
	e = k.entry(t, b, dedupe.PhaseDeadLettering)
	within(t, b.Key, "the lease of the dead letter is left for", e.HeldFor, lasting)
	letter(t, dedupe.Claim{Key: b.Key, Reason: e.Reason, Letter: e.Letter})
	k.settled(t, end(b, dedupe.DeadLettered))
	ended(t, k.entry(t, b, dedupe.PhaseDead))

	d := k.fresh(t, key("d"))
	k.settled(t, end(d, dedupe.Succeeded))
	ended(t, k.entry(t, d, dedupe.PhaseDone))
}

// ended wants nothing to be left of a lease, or of a dead letter that is stored.
func ended(t *testing.T, e dedupe.Entry) {
	t.Helper()
	if e.HeldFor != 0 || e.Reason != "" || e.Letter != "" {
		t.Errorf("%v: held for %v, reason %q, letter %q: want none of these", e.Phase, e.HeldFor, e.Reason, e.Letter)
	}
}

func inspectMark(t *testing.T, k *kit) {
	m := doneMark(key("a"))
	k.mark(t, m)
	e := k.inspect(t, m.Key)[0]
	if e.Err != nil || e.Phase != dedupe.PhaseDone || e.Owner != "" || e.Age != 0 || e.HeldFor != 0 || len(e.History) > 0 {
		t.Errorf("marked done: %+v, want done, of no owner and age, without a history", e)
	}
	within(t, m.Key, "the mark is kept for", e.ExpiresIn, keeping)
	sameHash(t, m.Key, e.Hash, hashA)
}

func inspectAttempts(t *testing.T, k *kit) {
	a := key("a")
	want := k.failAttempts(t, a, 1, 3)
	c := k.fresh(t, a)
	sameHistory(t, a, k.inspect(t, a)[0].History, want)
	k.settled(t, end(c, dedupe.Succeeded))
	e := k.entry(t, c, dedupe.PhaseDone)
	sameHistory(t, a, e.History, want)
	entryCounts(t, a, e, 3, 0)

	b := key("b")
	want = k.failAttempts(t, b, 1, 1)
	c = k.fresh(t, b)
	s := end(c, dedupe.GivenUp)
	s.Attempt, s.CountAttempt = attempt(c, 2), true
	k.settled(t, s)
	want = append(want, *s.Attempt)
	sameHistory(t, b, k.inspect(t, b)[0].History, want)
	k.settled(t, end(c, dedupe.DeadLettered))
	sameHistory(t, b, k.inspect(t, b)[0].History, want)
	m := doneMark(b)
	k.mark(t, m)
	sameHistory(t, b, k.inspect(t, b)[0].History, nil)
}

func inspectChangesNothing(t *testing.T, k *kit) {
	a, d := k.claim(t, k.brief(key("a")), dedupe.Fresh), k.fresh(t, key("d"))
	k.settled(t, end(d, dedupe.Failed))
	free := k.inspect(t, d.Key)[0]
	k.lapse(t)
	for range 2 {
		e := k.inspect(t, a.Key, d.Key, key("unknown"))
		if e[0].Phase != dedupe.PhaseClaimed || e[0].HeldFor != 0 || e[0].Token != a.Token || e[0].Crashes != 0 {
			t.Errorf("a claim whose lease is over: %+v, want it as it was, held for 0", e[0])
		}
		if e[1].Token != free.Token || e[1].Attempts != 1 || e[1].ExpiresIn > free.ExpiresIn {
			t.Errorf("a free key: %+v after %+v", e[1], free)
		}
	}
	k.is(t, key("unknown"), dedupe.Fresh)
	k.settled(t, end(a, dedupe.Succeeded))
	counts(t, k.fresh(t, d.Key), 1, 0)
}

func inspectRepeatedKeys(t *testing.T, k *kit) {
	c := k.fresh(t, key("a"))
	for i, e := range k.inspect(t, c.Key, key("b"), c.Key, c.Key) {
		want := dedupe.PhaseClaimed
		if i == 1 {
			want = dedupe.PhaseAbsent
		}
		if e.Phase != want {
			t.Errorf("key %d: %v, want %v", i, e.Phase, want)
		}
	}
}

func inspectBatch(t *testing.T, k *kit) {
	const n = 1000
	ks := keys(n)
	k.claims(t, k.requests(ks[:n/2])...)
	for i, e := range k.inspect(t, ks...) {
		if (e.Phase == dedupe.PhaseClaimed) != (i < n/2) {
			t.Fatalf("key %d of %d: %v; claimed: %t", i, n, e.Phase, i < n/2)
		}
	}
}

func inspectEndedContext(t *testing.T, k *kit) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.inspector.Inspect(ended, keys(1)); err == nil {
		t.Error("Inspect under an ended context: no error")
	}
}

func inspectReopened(t *testing.T, k *kit) {
	c := k.deadLetteringKey(t, key("a"), lasting)
	k.reopen(t, c.Key)
	e := k.inspect(t, c.Key)[0]
	if e.Phase != dedupe.PhaseFree || e.Owner != "" || e.Age != 0 || e.HeldFor != 0 || len(e.Hash) > 0 || e.Reason != "" || e.Letter != "" {
		t.Errorf("reopened: %+v, want free and due, of no owner, age, hash and dead letter", e)
	}
	entryCounts(t, c.Key, e, 0, 0)
}

func inspectNewer(t *testing.T, k *kit) {
	a := k.fresh(t, key("a"))
	k.s.Newer(t, key("newer"))
	e := k.inspect(t, key("newer"), a.Key)
	if e[0].Err == nil {
		t.Errorf("a row of a later version: %+v, want an error", e[0])
	}
	if e[0].Err = nil; !isZeroEntry(e[0]) {
		t.Errorf("a row of a later version: %+v beside its error, want nothing", e[0])
	}
	if e[1].Phase != dedupe.PhaseClaimed || e[1].Err != nil {
		t.Errorf("the key beside it: %+v, want claimed", e[1])
	}
}
