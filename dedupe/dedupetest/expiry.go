package dedupetest

import (
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func expiryCases() []testcase {
	return []testcase{
		{"Expiry/every state is absent after its TTL", expiresEverywhere},
		{"Expiry/every write renews", writesRenew},
		{"Expiry/an owner's claim is gone with its row", expiredOwner},
	}
}

// expiresEverywhere lets a key expire in each state, and wants it as if it had never been.
func expiresEverywhere(t *testing.T, k *kit) {
	short := func(s dedupe.Settlement) dedupe.Settlement { s.TTL = k.h.TTL; return s }
	all := map[string]dedupe.Outcome{"done": dedupe.Succeeded, "free": dedupe.Failed, "dying": dedupe.GivenUp, "dead": dedupe.Buried}
	for name, o := range all {
		c := k.fresh(t, key(name))
		if o == dedupe.Buried {
			k.settled(t, end(c, dedupe.GivenUp))
		}
		s := short(end(c, o))
		s.After = keeping
		k.settled(t, s)
	}
	r := k.brief(key("claimed"))
	r.TTL = k.h.TTL
	k.claim(t, r, dedupe.Fresh)
	m := doneMark(key("marked"))
	m.TTL = k.h.TTL
	k.mark(t, m)
	k.expire(t)
	var ks []dedupe.Key
	for _, name := range []string{"done", "free", "dying", "dead", "claimed", "marked"} {
		ks = append(ks, key(name))
	}
	k.present(t, ks...)
	for i, r := range k.seen(t, ks...) {
		if r.State != dedupe.Fresh || len(r.Hash) > 0 {
			t.Errorf("%s after its TTL: %+v, want fresh", ks[i], r)
		}
	}
	rs := k.requests(ks)
	for i := range rs {
		rs[i].Hash = hashB // the first one is forgotten as well
	}
	cs := k.claims(t, rs...)
	for i, c := range cs {
		if c.State != dedupe.Fresh {
			t.Errorf("%s after its TTL: %v, want fresh", ks[i], c.State)
		}
		counts(t, c, 0, 0)
		sameHash(t, c.Key, c.Hash, hashB)
		if c.Age >= k.h.TTL {
			t.Errorf("%s: age %v: an expired row's is not carried on", ks[i], c.Age)
		}
	}
	for _, c := range cs {
		r := k.request(c.Key)
		r.Hash = nil
		k.claim(t, r, dedupe.Held)
		k.settled(t, end(c, dedupe.Succeeded))
		k.is(t, c.Key, dedupe.Done)
	}
}

// writesRenew has each write follow another by three fifths of a TTL. What can is written at once, so that the machine has the rest of the TTL.
func writesRenew(t *testing.T, k *kit) {
	step := k.h.TTL * 3 / 5
	ask := func(id string) dedupe.Request {
		r := k.brief(key(id))
		r.TTL = k.h.TTL
		return r
	}
	claims := make(map[string]dedupe.Claim)
	settle := func(outcomes map[string]dedupe.Outcome) {
		var ss []dedupe.Settlement
		for name, o := range outcomes {
			s := end(claims[name], o)
			s.TTL = k.h.TTL
			ss = append(ss, s)
		}
		for i, ok := range k.settles(t, ss...) {
			if !ok {
				t.Fatalf("settlement of %s as %v: superseded, want applied", ss[i].Claim.Key, ss[i].Outcome)
			}
		}
	}
	var rs []dedupe.Request
	for _, n := range []string{"succeeded", "failed", "not begun", "given up", "buried", "extended", "claimed", "repeated"} {
		rs = append(rs, ask(n))
	}
	for _, c := range k.claims(t, rs...) {
		if c.State != dedupe.Fresh {
			t.Fatalf("%s: %v, want fresh", c.Key, c.State)
		}
		claims[c.Key.ID] = c
	}
	settle(map[string]dedupe.Outcome{"buried": dedupe.GivenUp})
	k.h.Wait(t, step)
	settle(map[string]dedupe.Outcome{
		"succeeded": dedupe.Succeeded, "failed": dedupe.Failed, "not begun": dedupe.NotBegun, "given up": dedupe.GivenUp, "buried": dedupe.Buried,
	})
	if !k.extends(t, []dedupe.Claim{claims["extended"]}, k.h.Lease, k.h.TTL)[0] {
		t.Fatal("extended: superseded")
	}
	counts(t, k.claim(t, ask("claimed"), dedupe.Fresh), 0, 1)
	again := ask("repeated")
	again.Nonce = claims["repeated"].Nonce
	k.claim(t, again, dedupe.Fresh)
	k.h.Wait(t, step)

	k.is(t, key("succeeded"), dedupe.Done)
	counts(t, k.fresh(t, key("failed")), 1, 0)
	if c := k.fresh(t, key("not begun")); c.Age < k.h.TTL {
		t.Errorf("not begun: age %v: it was forgotten before its TTL", c.Age)
	}
	k.is(t, key("given up"), dedupe.Dying)
	k.is(t, key("buried"), dedupe.Dead)
	counts(t, k.fresh(t, key("extended")), 0, 1)
	counts(t, k.fresh(t, key("claimed")), 0, 2)
	counts(t, k.fresh(t, key("repeated")), 0, 1)
}

func expiredOwner(t *testing.T, k *kit) {
	r := k.brief(key("a"))
	r.TTL = k.h.TTL
	old := k.claim(t, r, dedupe.Fresh)
	k.expire(t)
	k.present(t, r.Key)
	k.is(t, r.Key, dedupe.Fresh)
	c := k.fresh(t, r.Key)
	counts(t, c, 0, 0)
	stale(t, k, old)
	k.settled(t, end(c, dedupe.Succeeded))
}
