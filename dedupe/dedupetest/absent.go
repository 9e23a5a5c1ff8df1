package dedupetest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// absentCases are of claims whose row is gone: somebody has deleted it, the store was restored from
// an older copy, or its TTL is over. Nobody else has the key, so what the owner knows is written.
func absentCases() []testcase {
	return []testcase{
		{"Absent/a settlement leaves what it would have left", absentSettled},
		{"Absent/an extension writes the claim again", absentExtended},
		{"Absent/an expired row is absent", absentExpired},
		{"Absent/who comes first is the owner", absentRace},
	}
}

// vanished is a claim that the store knows nothing of.
func (k *kit) vanished(id string) dedupe.Claim {
	return dedupe.Claim{
		Key: key(id), Nonce: k.nonce(), State: dedupe.Fresh, Token: 1, Hash: hashA, Attempts: 2, Crashes: 1, Age: time.Hour,
	}
}

func absentSettled(t *testing.T, k *kit) {
	outcomes := []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp, dedupe.DeadLettered}
	var ss []dedupe.Settlement
	for _, o := range outcomes {
		s := end(k.vanished(o.String()), o)
		s.CountAttempt = o == dedupe.GivenUp
		ss = append(ss, s)
	}
	beside := k.fresh(t, key("beside"))
	ss = append(ss, end(beside, dedupe.Failed))
	for range 2 { // a repeat changes nothing
		for i, ok := range k.settles(t, ss...) {
			if !ok {
				t.Errorf("settlement of %s: superseded, want stored", ss[i].Claim.Key)
			}
		}
	}
	seen := k.seen(t, key("succeeded"), key("dead-lettered"))
	if seen[0].State != dedupe.Done || seen[1].State != dedupe.Dead {
		t.Errorf("seen as %v and %v, want done and dead", seen[0].State, seen[1].State)
	}
	sameHash(t, key("succeeded"), seen[0].Hash, hashA)
	for id, attempts := range map[string]int{"failed": 3, "not begun": 2} {
		c := k.fresh(t, key(id))
		counts(t, c, attempts, 1)
		if c.Token <= 1 || c.Age < time.Hour {
			t.Errorf("%s: token %d after 1, age %v after 1h", id, c.Token, c.Age)
		}
		other := k.request(c.Key)
		other.Hash = hashB
		k.claim(t, other, dedupe.Reused)
	}
	k.held(t, key("given up"))
	again := k.request(key("given up"))
	again.Nonce = ss[3].Claim.Nonce
	c := k.claim(t, again, dedupe.DeadLettering)
	counts(t, c, 3, 1)
	if c.Reason != ss[3].Reason || c.Letter != ss[3].Letter {
		t.Errorf("given up for %q under %q, want %q and %q", c.Reason, c.Letter, ss[3].Reason, ss[3].Letter)
	}
	counts(t, k.fresh(t, beside.Key), 1, 0)
}

func absentExtended(t *testing.T, k *kit) {
	a, b, beside := k.vanished("a"), k.vanished("b"), k.claim(t, k.brief(key("beside")), dedupe.Fresh)
	b.State, b.Reason, b.Letter = dedupe.DeadLettering, "card declined", "billing/ORDERS/7"
	for i, ok := range k.extends(t, []dedupe.Claim{a, beside, b}, lasting, keeping) {
		if !ok {
			t.Errorf("extension %d of 3: superseded, want renewed", i)
		}
	}
	k.lapse(t)
	k.held(t, beside.Key)
	if h := k.held(t, a.Key); h.HeldFor < lasting/4 {
		t.Errorf("extended by %v: held for %v", lasting, h.HeldFor)
	}
	k.settled(t, end(a, dedupe.Failed))
	counts(t, k.fresh(t, a.Key), 3, 1)
	again := k.request(b.Key)
	again.Nonce = b.Nonce
	if c := k.claim(t, again, dedupe.DeadLettering); c.Reason != b.Reason || c.Letter != b.Letter {
		t.Errorf("dead-lettering for %q under %q, want %q and %q", c.Reason, c.Letter, b.Reason, b.Letter)
	}
	k.settled(t, end(b, dedupe.DeadLettered))
	k.is(t, b.Key, dedupe.Dead)
}

// absentExpired: a claim that outlived its TTL is settled all the same, while nobody
// else has the key.
func absentExpired(t *testing.T, k *kit) {
	ask := func(id string) dedupe.Request {
		r := k.brief(key(id))
		r.TTL = k.h.TTL
		return r
	}
	a, b := k.claim(t, ask("a"), dedupe.Fresh), k.claim(t, ask("b"), dedupe.Fresh)
	k.expire(t)
	k.settled(t, end(a, dedupe.Succeeded))
	k.extended(t, b, lasting, true)
	k.is(t, a.Key, dedupe.Done)
	k.held(t, b.Key)
	k.settled(t, end(b, dedupe.Failed))
	counts(t, k.fresh(t, b.Key), 1, 0)
}

func absentRace(t *testing.T, k *kit) {
	old := k.vanished("a")
	c := k.fresh(t, old.Key)
	stale(t, k, old)
	k.settled(t, end(c, dedupe.Succeeded))
	stale(t, k, old)
	k.is(t, old.Key, dedupe.Done)
}
