package dedupetest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// skew is how far a client's clock may be off without harm.
const skew = 5 * time.Minute

// skewCases have clients whose clocks are ten minutes apart work on the same keys.
func skewCases(able *kit) []testcase {
	all := []testcase{{"Skew/TTL", skewedTTL}}
	if able.claimer == nil {
		return all
	}
	return append(all,
		testcase{"Skew/fast, then slow", func(t *testing.T, k *kit) { skewed(t, k, skew, -skew) }},
		testcase{"Skew/slow, then fast", func(t *testing.T, k *kit) { skewed(t, k, -skew, skew) }},
		testcase{"Skew/right, then fast", func(t *testing.T, k *kit) { skewed(t, k, 0, skew) }},
		testcase{"Skew/right, then slow", func(t *testing.T, k *kit) { skewed(t, k, 0, -skew) }},
	)
}

func (k *kit) skewed(t *testing.T, d time.Duration) *kit {
	t.Helper()
	if d == 0 {
		return k
	}
	return k.over(t, k.s.Skewed(t, d))
}

func skewedTTL(t *testing.T, k *kit) {
	clients := []*kit{k, k.skewed(t, skew), k.skewed(t, -skew)}
	for i, c := range clients {
		m := doneMark(keys(3)[i])
		m.TTL = k.h.TTL
		c.mark(t, m)
	}
	for _, c := range clients {
		for _, r := range c.seen(t, keys(3)...) {
			if r.State != dedupe.Done {
				t.Errorf("a mark is %v to another client, want done", r.State)
			}
		}
	}
	k.expire(t)
	for _, c := range clients {
		for _, r := range c.seen(t, keys(3)...) {
			if r.State != dedupe.Fresh {
				t.Errorf("an expired mark is %v to another client, want fresh", r.State)
			}
		}
	}
	for i, c := range clients {
		c.mark(t, doneMark(keys(3)[i]))
		k.is(t, keys(3)[i], dedupe.Done)
	}
}

func skewed(t *testing.T, k *kit, first, second time.Duration) {
	a, b := k.skewed(t, first), k.skewed(t, second)
	k.skewedLease(t, a, b)
	k.skewedLapse(t, a, b)
	k.skewedDue(t, a, b)
}

// skewedLease: what one has claimed is held for the other, for as long as it says.
func (k *kit) skewedLease(t *testing.T, a, b *kit) {
	t.Helper()
	id := key("lease")
	c := a.fresh(t, id)
	k.about(t, "fresh", c.HeldFor, lasting)
	h := b.held(t, id)
	k.about(t, "held", h.HeldFor, lasting)
	if h.Age > leeway {
		t.Errorf("age %v of what was claimed just now", h.Age)
	}
	a.extended(t, c, lasting, true)
	k.about(t, "extended", b.held(t, id).HeldFor, lasting)
	a.settled(t, end(c, dedupe.Succeeded))
	b.claim(t, b.request(id), dedupe.Done)
}

// skewedLapse: a lease is over for the other when it is over, and that of a dead letter likewise.
func (k *kit) skewedLapse(t *testing.T, a, b *kit) {
	t.Helper()
	id, givenUp := key("lapse"), key("dead letter")
	old := a.claim(t, a.brief(id), dedupe.Fresh)
	a.deadLetteringKey(t, givenUp, k.h.Lease)
	k.lapse(t)
	c := b.fresh(t, id)
	counts(t, c, 0, 1)
	if c.Age > leeway+2*k.h.Lease {
		t.Errorf("age %v of what was claimed a lease ago", c.Age)
	}
	k.about(t, "takeover", c.HeldFor, lasting)
	a.held(t, id)
	a.refused(t, end(old, dedupe.Succeeded))
	b.settled(t, end(c, dedupe.Succeeded))
	d := b.claim(t, b.request(givenUp), dedupe.DeadLettering)
	k.about(t, "dead letter", d.HeldFor, lasting)
	a.held(t, givenUp)
	b.settled(t, end(d, dedupe.DeadLettered))
}

// skewedDue: what one has given back is due for the other when it is due.
func (k *kit) skewedDue(t *testing.T, a, b *kit) {
	t.Helper()
	id := key("due")
	s := end(a.fresh(t, id), dedupe.Failed)
	s.After = k.h.Lease
	a.settled(t, s)
	k.lapse(t)
	c := b.fresh(t, id)
	counts(t, c, 1, 0)
	s = end(c, dedupe.NotBegun)
	s.After = lasting
	b.settled(t, s)
	k.about(t, "not due", a.held(t, id).HeldFor, lasting)
}

func (k *kit) about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want/2 || got > want+leeway {
		t.Errorf("%s: held for %v of %v", what, got, want)
	}
}
