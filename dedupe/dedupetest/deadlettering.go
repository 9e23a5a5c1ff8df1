package dedupetest

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func deadLetteringCases() []testcase {
	return []testcase{
		{"DeadLettering/is leased, taken over, dead-lettered", deadLetteringLife},
		{"DeadLettering/a crash while dead-lettering counts nothing", deadLetteringNoCrash},
		{"DeadLettering/repeated under its nonce", deadLetteringRepeated},
		{"DeadLettering/a claim of one's own dead letter", deadLetteringOwn},
		{"DeadLettering/extended", deadLetteringExtended},
		{"DeadLettering/attempts are counted if asked", deadLetteringAttempts},
		{"DeadLettering/reasons are cut", deadLetteringReasons},
	}
}

func reopenCases() []testcase {
	return []testcase{
		{"Reopen/dead", func(t *testing.T, k *kit) { reopened(t, k, true) }},
		{"Reopen/dead-lettering", func(t *testing.T, k *kit) { reopened(t, k, false) }},
		{"Reopen/what was marked dead", reopenMarked},
		{"Reopen/leaves others alone", reopenOthers},
	}
}

func letter(t *testing.T, c dedupe.Claim) {
	t.Helper()
	want := end(c, dedupe.GivenUp)
	if c.Reason != want.Reason || c.Letter != want.Letter {
		t.Errorf("%s: reason %q and letter %q, want %q and %q", c.Key, c.Reason, c.Letter, want.Reason, want.Letter)
	}
}

func deadLetteringLife(t *testing.T, k *kit) {
	a := k.deadLetteringKey(t, key("a"), k.h.Lease)
	if h := k.claims(t, k.request(a.Key))[0]; h.State != dedupe.Held || h.HeldFor > k.h.Lease+leeway {
		t.Errorf("while it is dead-lettered: %v for %v, want held for at most %v", h.State, h.HeldFor, k.h.Lease)
	}
	k.lapse(t)
	b := k.claim(t, k.request(a.Key), dedupe.DeadLettering)
	letter(t, b)
	counts(t, b, 0, 0)
	sameHash(t, b.Key, b.Hash, hashA)
	if b.Token <= a.Token {
		t.Errorf("a dead letter is taken over: token %d after %d: must grow", b.Token, a.Token)
	}
	k.held(t, a.Key)
	stale(t, k, a)
	k.settled(t, end(b, dedupe.DeadLettered))
	k.claim(t, k.request(a.Key), dedupe.Dead)
	k.is(t, a.Key, dedupe.Dead)
	k.refused(t, end(a, dedupe.DeadLettered))
}

func deadLetteringNoCrash(t *testing.T, k *kit) {
	k.claim(t, k.brief(key("a")), dedupe.Fresh)
	k.lapse(t)
	c := k.fresh(t, key("a"))
	s := end(c, dedupe.GivenUp)
	s.Lease = k.h.Lease
	k.settled(t, s)
	for range 3 {
		k.lapse(t)
		c = k.claim(t, k.brief(key("a")), dedupe.DeadLettering)
		counts(t, c, 0, 1)
		letter(t, c)
	}
}

func deadLetteringRepeated(t *testing.T, k *kit) {
	k.deadLetteringKey(t, key("a"), k.h.Lease)
	k.lapse(t)
	r := k.brief(key("a"))
	b := k.claim(t, r, dedupe.DeadLettering)
	k.lapse(t)
	r.Lease = lasting
	again := k.claim(t, r, dedupe.DeadLettering)
	letter(t, again)
	if again.Token != b.Token {
		t.Errorf("token %d, and %d when repeated", b.Token, again.Token)
	}
	k.held(t, r.Key)
	k.settled(t, end(b, dedupe.DeadLettered))
}

// deadLetteringOwn: the claim's request is repeated after it was given up; the dead letter is
// this owner's.
func deadLetteringOwn(t *testing.T, k *kit) {
	a := k.deadLetteringKey(t, key("a"), lasting)
	r := k.request(a.Key)
	r.Nonce = a.Nonce
	c := k.claim(t, r, dedupe.DeadLettering)
	letter(t, c)
	counts(t, c, 0, 0)
	k.settled(t, end(c, dedupe.DeadLettered))
}

func deadLetteringExtended(t *testing.T, k *kit) {
	k.deadLetteringKey(t, key("a"), k.h.Lease)
	k.lapse(t)
	b := k.claim(t, k.brief(key("a")), dedupe.DeadLettering)
	k.extended(t, b, lasting, true)
	k.lapse(t)
	k.held(t, b.Key)
	k.settled(t, end(b, dedupe.DeadLettered))
	k.is(t, b.Key, dedupe.Dead)
}

func deadLetteringAttempts(t *testing.T, k *kit) {
	for _, counted := range []bool{true, false} {
		id, want := key("not counted"), 1
		if counted {
			id, want = key("counted"), 2
		}
		k.settled(t, end(k.fresh(t, id), dedupe.Failed))
		s := end(k.fresh(t, id), dedupe.GivenUp)
		s.CountAttempt, s.Lease = counted, k.h.Lease
		k.settled(t, s)
		k.settled(t, s)
		k.lapse(t)
		counts(t, k.claim(t, k.request(id), dedupe.DeadLettering), want, 0)
	}
}

// deadLetteringReasons: a reason is what a handler's error said, and may be anything.
func deadLetteringReasons(t *testing.T, k *kit) {
	reasons := map[string]string{
		"empty": "", "max": strings.Repeat("r", dedupe.MaxReason), "over": strings.Repeat("r", dedupe.MaxReason+1),
		"huge": strings.Repeat("0123456789", 20_000), "wide": strings.Repeat("é💥", dedupe.MaxReason),
		"NUL": "a\x00b", "no UTF-8": "a\xff\xfe", "markup": "$where: {\"a\": ::%00}\n\t",
	}
	const letter = "billing::ORDERS %3A\n\"7\"/é"
	for name, reason := range reasons {
		s := end(k.fresh(t, key(name)), dedupe.GivenUp)
		s.Reason, s.Letter, s.Lease = reason, letter, k.h.Lease
		k.settled(t, s)
	}
	k.lapse(t)
	for name, reason := range reasons {
		c := k.claim(t, k.request(key(name)), dedupe.DeadLettering)
		if c.Letter != letter {
			t.Errorf("%s: letter %q, want %q", name, c.Letter, letter)
		}
		if len(c.Reason) > dedupe.MaxReason {
			t.Errorf("%s: a reason of %d bytes is kept, want at most %d", name, len(c.Reason), dedupe.MaxReason)
		}
		if name == "NUL" || name == "no UTF-8" {
			continue // a store may replace what it cannot hold
		}
		if !strings.HasPrefix(reason, c.Reason) || len(c.Reason) < min(len(reason), dedupe.MaxReason-4) {
			t.Errorf("%s: reason of %d bytes became %d others", name, len(reason), len(c.Reason))
		}
	}
}

// reopened brings a key with counts into its last state, and wants it as if it were new, but
// for its token.
func reopened(t *testing.T, k *kit, deadLettered bool) {
	a := key("a")
	k.claim(t, k.brief(a), dedupe.Fresh)
	k.lapse(t)
	k.settled(t, end(k.fresh(t, a), dedupe.Failed))
	old := k.deadLetteringKey(t, a, lasting)
	if deadLettered {
		k.settled(t, end(old, dedupe.DeadLettered))
	}
	for range 2 {
		k.reopen(t, a)
	}
	k.is(t, a, dedupe.Fresh)
	k.refused(t, end(old, dedupe.Succeeded))
	k.extended(t, old, lasting, false)
	if !deadLettered {
		k.refused(t, end(old, dedupe.DeadLettered))
	}
	r := k.request(a)
	r.Hash = hashB
	c := k.claim(t, r, dedupe.Fresh)
	counts(t, c, 0, 0)
	sameHash(t, a, c.Hash, hashB)
	if c.Token <= old.Token {
		t.Errorf("reopened: token %d after %d: must grow", c.Token, old.Token)
	}
	k.claim(t, k.request(a), dedupe.Reused) // the new payload counts now
	stale(t, k, old)
	k.reopen(t, a)
	k.settled(t, end(c, dedupe.Succeeded)) // a claim is left alone
	k.is(t, a, dedupe.Done)
}

func reopenMarked(t *testing.T, k *kit) {
	a, b := key("a"), key("b")
	old := k.fresh(t, b)
	k.mark(t, dedupe.Mark{Key: a, State: dedupe.Dead, Hash: hashA, TTL: keeping},
		dedupe.Mark{Key: b, State: dedupe.Dead, Hash: hashA, TTL: keeping})
	k.reopen(t, b, a, b)
	for _, key := range []dedupe.Key{a, b} {
		r := k.request(key)
		r.Hash = hashB
		c := k.claim(t, r, dedupe.Fresh)
		counts(t, c, 0, 0)
		if key == b && c.Token <= old.Token {
			t.Errorf("claimed, marked dead, reopened: token %d after %d: must grow", c.Token, old.Token)
		}
	}
	stale(t, k, old)
}

func reopenOthers(t *testing.T, k *kit) {
	own := k.fresh(t, key("claimed"))
	later := end(k.fresh(t, key("not due")), dedupe.Failed)
	later.After = lasting
	k.settled(t, later)
	k.settled(t, end(k.fresh(t, key("failed")), dedupe.Failed))
	k.mark(t, doneMark(key("done")))
	gone := dedupe.Mark{Key: key("expired"), State: dedupe.Dead, Hash: hashA, TTL: k.h.TTL}
	k.mark(t, gone)
	k.expire(t)
	k.reopen(t, own.Key, key("not due"), key("failed"), key("done"), key("unknown"), gone.Key)
	k.held(t, own.Key)
	k.held(t, key("not due"))
	counts(t, k.fresh(t, key("failed")), 1, 0)
	k.is(t, key("done"), dedupe.Done)
	k.is(t, key("unknown"), dedupe.Fresh)
	k.fresh(t, gone.Key)
	k.settled(t, end(own, dedupe.Succeeded))
}

func (k *kit) reopen(t *testing.T, keys ...dedupe.Key) {
	t.Helper()
	if err := stored(k.reopener.Reopen(t.Context(), keys)); err != nil {
		t.Fatalf("Reopen: %v", err)
	}
}
