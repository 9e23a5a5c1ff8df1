package dedupetest

import (
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func settleCases() []testcase {
	return []testcase{
		{"Settle/attempts are counted once", attemptsOnce},
		{"Settle/what never began counts nothing", notBegun},
		{"Settle/crashes and attempts are apart", crashesApart},
		{"Settle/repeated is true", settleRepeated},
		{"Settle/late is as good while nobody took over", settleLate},
		{"Settle/not due is held", notDue},
		{"Settle/a stale owner after give-back", staleAfterGiveBack},
		{"Settle/over a mark", settleMarked},
		{"Settle/wrong state", settleWrongState},
		{"Extend/keeps a claim", extendKeeps},
		{"Extend/late is as good while nobody took over", extendLate},
		{"Extend/is refused once settled", extendSettled},
	}
}

func attemptsOnce(t *testing.T, k *kit) {
	for attempts := range 3 {
		c := k.fresh(t, key("a"))
		counts(t, c, attempts, 0)
		for range 3 {
			k.settled(t, end(c, dedupe.Failed))
		}
	}
	counts(t, k.fresh(t, key("a")), 3, 0)
}

func notBegun(t *testing.T, k *kit) {
	k.settled(t, end(k.fresh(t, key("a")), dedupe.Failed))
	for range 2 {
		c := k.fresh(t, key("a"))
		counts(t, c, 1, 0)
		for range 3 {
			k.settled(t, end(c, dedupe.NotBegun))
		}
	}
	c := k.fresh(t, key("a"))
	counts(t, c, 1, 0)
	k.settled(t, end(c, dedupe.Failed))
	k.settles(t, end(c, dedupe.NotBegun)) // it ended already: nothing is taken back
	counts(t, k.fresh(t, key("a")), 2, 0)

	b := k.fresh(t, key("b"))
	k.settled(t, end(b, dedupe.NotBegun))
	k.settles(t, end(b, dedupe.Failed)) // nor counted
	counts(t, k.fresh(t, key("b")), 0, 0)
}

func crashesApart(t *testing.T, k *kit) {
	k.claim(t, k.brief(key("a")), dedupe.Fresh)
	k.lapse(t)
	b := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	counts(t, b, 0, 1)
	k.settled(t, end(b, dedupe.Failed))
	k.lapse(t) // free: its lease is nobody's
	c := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	counts(t, c, 1, 1)
	k.settled(t, end(c, dedupe.NotBegun))
	k.lapse(t)
	counts(t, k.fresh(t, key("a")), 1, 1)
}

func settleRepeated(t *testing.T, k *kit) {
	for _, o := range []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp} {
		c := k.fresh(t, key(o.String()))
		for range 3 {
			k.settled(t, end(c, o))
		}
	}
	k.claim(t, k.request(key("succeeded")), dedupe.Done)
	k.claim(t, k.request(key("given up")), dedupe.Held)
	c := k.deadLetteringKey(t, key("dead-lettered"), lasting)
	for range 3 {
		k.settled(t, end(c, dedupe.DeadLettered))
	}
	k.settled(t, end(c, dedupe.GivenUp)) // a repeat that comes late
	k.claim(t, k.request(c.Key), dedupe.Dead)
}

func settleLate(t *testing.T, k *kit) {
	outcomes := []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp}
	var cs []dedupe.Claim
	for _, o := range outcomes {
		cs = append(cs, k.claim(t, k.brief(key(o.String())), dedupe.Fresh))
	}
	givenUp := k.deadLetteringKey(t, key("dead-lettered"), k.h.Lease)
	k.lapse(t)
	for i, o := range outcomes {
		k.settled(t, end(cs[i], o))
	}
	k.settled(t, end(givenUp, dedupe.DeadLettered))
	k.is(t, key("succeeded"), dedupe.Done)
	counts(t, k.fresh(t, key("failed")), 1, 0)
	counts(t, k.fresh(t, key("not begun")), 0, 0)
	k.is(t, key("given up"), dedupe.DeadLettering)
	k.is(t, key("dead-lettered"), dedupe.Dead)
}

func notDue(t *testing.T, k *kit) {
	far, near := key("far"), key("near")
	for _, o := range []dedupe.Outcome{dedupe.Failed, dedupe.NotBegun} {
		s := end(k.fresh(t, far), o)
		s.After = lasting
		if o == dedupe.Failed {
			s.After = k.h.Lease
		}
		k.settled(t, s)
		if h := k.held(t, far); h.HeldFor <= 0 || h.HeldFor > s.After+leeway || o == dedupe.NotBegun && h.HeldFor < lasting/2 {
			t.Errorf("due after %v: held for %v", s.After, h.HeldFor)
		}
		if o == dedupe.Failed {
			k.lapse(t)
		}
	}
	s := end(k.fresh(t, near), dedupe.Failed)
	s.After = k.h.Lease
	k.settled(t, s)
	k.lapse(t)
	counts(t, k.fresh(t, near), 1, 0)
	k.held(t, far)
}

func staleAfterGiveBack(t *testing.T, k *kit) {
	for _, o := range []dedupe.Outcome{dedupe.Failed, dedupe.NotBegun} {
		old := k.fresh(t, key(o.String()))
		k.settled(t, end(old, o))
		c := k.fresh(t, old.Key)
		if c.Token <= old.Token {
			t.Errorf("claimed again: token %d after %d: must grow", c.Token, old.Token)
		}
		stale(t, k, old)
		again := k.request(old.Key)
		again.Nonce = old.Nonce
		k.claim(t, again, dedupe.Held)
		k.held(t, old.Key)
		k.settled(t, end(c, dedupe.Succeeded))
		k.refused(t, end(old, o))
		k.refused(t, end(old, dedupe.Succeeded))
		k.is(t, old.Key, dedupe.Done)
	}
}

func settleMarked(t *testing.T, k *kit) {
	k.mark(t, doneMark(key("b")))
	stale(t, k, dedupe.Claim{Key: key("b"), Nonce: k.nonce(), Token: 1})
	stale(t, k, dedupe.Claim{Key: key("b")})
	k.is(t, key("b"), dedupe.Done)
}

// settleWrongState: an outcome applies to the state that it starts from, and to no other.
func settleWrongState(t *testing.T, k *kit) {
	a := k.fresh(t, key("a"))
	k.refused(t, end(a, dedupe.DeadLettered))
	k.settled(t, end(a, dedupe.Succeeded))
	for _, o := range []dedupe.Outcome{dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp, dedupe.DeadLettered} {
		k.refused(t, end(a, o))
	}
	k.claim(t, k.request(a.Key), dedupe.Done)

	b := k.deadLetteringKey(t, key("b"), lasting)
	for _, o := range []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun} {
		k.refused(t, end(b, o))
	}
	k.is(t, b.Key, dedupe.DeadLettering)
	k.settled(t, end(b, dedupe.DeadLettered))
	k.refused(t, end(b, dedupe.Succeeded))
	k.is(t, b.Key, dedupe.Dead)

	c := k.fresh(t, key("c"))
	k.settled(t, end(c, dedupe.Failed))
	k.refused(t, end(c, dedupe.Succeeded))
	k.refused(t, end(c, dedupe.GivenUp))
	counts(t, k.fresh(t, c.Key), 1, 0)
}

func extendKeeps(t *testing.T, k *kit) {
	a := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	b := k.claim(t, k.brief(key("b")), dedupe.Fresh)
	other := k.fresh(t, key("c"))
	oks := k.extends(t, []dedupe.Claim{b, {Key: other.Key, Nonce: k.nonce()}, a}, lasting, keeping)
	if !oks[0] || oks[1] || !oks[2] {
		t.Errorf("extension of claims 0 and 2 of 3: %v", oks)
	}
	k.lapse(t)
	if h := k.held(t, a.Key); h.HeldFor < lasting/4 {
		t.Errorf("extended by %v: held for %v", lasting, h.HeldFor)
	}
	k.held(t, b.Key)
	k.extended(t, a, k.h.Lease, true) // the lease runs from now, also when that is sooner
	k.lapse(t)
	c := k.fresh(t, a.Key)
	counts(t, c, 0, 1)
	k.extended(t, a, lasting, false)
	k.settled(t, end(c, dedupe.Succeeded))
}

func extendLate(t *testing.T, k *kit) {
	a := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	k.lapse(t)
	k.extended(t, a, lasting, true)
	k.held(t, a.Key)
	k.settled(t, end(a, dedupe.Failed))
	counts(t, k.fresh(t, a.Key), 1, 0)
}

func extendSettled(t *testing.T, k *kit) {
	for _, o := range []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun} {
		c := k.fresh(t, key(o.String()))
		k.settled(t, end(c, o))
		k.extended(t, c, lasting, false)
	}
	k.is(t, key("succeeded"), dedupe.Done)
	k.fresh(t, key("failed"))
	k.fresh(t, key("not begun"))
	c := k.deadLetteringKey(t, key("dead-lettered"), lasting)
	k.settled(t, end(c, dedupe.DeadLettered))
	k.extended(t, c, lasting, false)
	k.is(t, c.Key, dedupe.Dead)
}
