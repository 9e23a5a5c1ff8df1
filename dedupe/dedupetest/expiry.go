package dedupetest

import (
	"fmt"
	"testing"
	"time"

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
	all := map[string]dedupe.Outcome{"done": dedupe.Succeeded, "free": dedupe.Failed, "dead-lettering": dedupe.GivenUp, "dead": dedupe.DeadLettered}
	for name, o := range all {
		c := k.fresh(t, key(name))
		if o == dedupe.DeadLettered {
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
	for _, name := range []string{"done", "free", "dead-lettering", "dead", "claimed", "marked"} {
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

// inTime runs a case that proves something only if the machine is faster than a TTL. play returns
// the longest time between two steps that had to be less than the TTL apart, and what it found
// wrong. Where that took too long it is played again, with other keys and twice the TTL.
func (k *kit) inTime(t *testing.T, play func(ttl time.Duration, id string) (longest time.Duration, wrong []error)) {
	t.Helper()
	ttl := k.h.TTL
	for range 6 {
		longest, wrong := play(ttl, ttl.String())
		if longest < ttl {
			for _, err := range wrong {
				t.Error(err)
			}
			return
		}
		t.Logf("two steps were %v apart, with a TTL of %v: again with twice the TTL", longest, ttl)
		ttl *= 2
	}
	t.Errorf("the machine is too slow for a TTL of %v", ttl/2)
}

// writesRenew has each write follow another by three fifths of a TTL, and looks after three more.
func writesRenew(t *testing.T, k *kit) {
	k.inTime(t, func(ttl time.Duration, id string) (time.Duration, []error) {
		r := &renewing{T: t, k: k, id: id, ttl: ttl, claims: make(map[string]dedupe.Claim)}
		begun := time.Now()
		r.claimAll()
		k.h.Wait(t, ttl*3/5)
		renewed := time.Now()
		r.renewAll()
		first := time.Since(begun)
		k.h.Wait(t, ttl*3/5)
		wrong := r.check()
		return max(first, time.Since(renewed)), wrong
	})
}

// renewing is a key for each kind of write that renews a TTL.
type renewing struct {
	*testing.T

	k      *kit
	id     string
	ttl    time.Duration
	claims map[string]dedupe.Claim
}

func (r *renewing) ask(name string) dedupe.Request {
	q := r.k.brief(key(name + r.id))
	q.TTL = r.ttl
	return q
}

func (r *renewing) claimAll() {
	r.Helper()
	names := []string{"succeeded", "failed", "not begun", "given up", "dead-lettered", "extended", "claimed", "repeated"}
	var rs []dedupe.Request
	for _, n := range names {
		rs = append(rs, r.ask(n))
	}
	for i, c := range r.k.claims(r.T, rs...) {
		if c.State != dedupe.Fresh {
			r.Fatalf("%s: %v, want fresh", c.Key, c.State)
		}
		r.claims[names[i]] = c
	}
	r.settle(map[string]dedupe.Outcome{"dead-lettered": dedupe.GivenUp})
}

func (r *renewing) settle(outcomes map[string]dedupe.Outcome) {
	r.Helper()
	var ss []dedupe.Settlement
	for name, o := range outcomes {
		s := end(r.claims[name], o)
		s.TTL = r.ttl
		ss = append(ss, s)
	}
	for i, ok := range r.k.settles(r.T, ss...) {
		if !ok {
			r.Fatalf("settlement of %s as %v: superseded, want applied", ss[i].Claim.Key, ss[i].Outcome)
		}
	}
}

func (r *renewing) renewAll() {
	r.Helper()
	r.settle(map[string]dedupe.Outcome{
		"succeeded": dedupe.Succeeded, "failed": dedupe.Failed, "not begun": dedupe.NotBegun, "given up": dedupe.GivenUp, "dead-lettered": dedupe.DeadLettered,
	})
	if !r.k.extends(r.T, []dedupe.Claim{r.claims["extended"]}, r.k.h.Lease, r.ttl)[0] {
		r.Fatal("extended: superseded")
	}
	again := r.ask("repeated")
	again.Nonce = r.claims["repeated"].Nonce
	r.k.claims(r.T, r.ask("claimed"), again)
}

// check returns what of it was forgotten. Seen and Claim are told apart from what a slow machine
// makes of them by whoever called.
func (r *renewing) check() (wrong []error) {
	r.Helper()
	seen := r.k.seen(r.T, key("succeeded"+r.id), key("given up"+r.id), key("dead-lettered"+r.id))
	for i, want := range []dedupe.State{dedupe.Done, dedupe.DeadLettering, dedupe.Dead} {
		if seen[i].State != want {
			wrong = append(wrong, fmt.Errorf("it is seen as %v, want %v", seen[i].State, want))
		}
	}
	names := []string{"failed", "not begun", "extended", "claimed", "repeated"}
	var rs []dedupe.Request
	for _, n := range names {
		rs = append(rs, r.ask(n))
	}
	want := map[string][2]int{"failed": {1, 0}, "not begun": {0, 0}, "extended": {0, 1}, "claimed": {0, 2}, "repeated": {0, 1}}
	for i, c := range r.k.claims(r.T, rs...) {
		n := want[names[i]]
		if c.State != dedupe.Fresh || c.Attempts != n[0] || c.Crashes != n[1] || c.Age < r.ttl {
			wrong = append(wrong, fmt.Errorf("%s: %v with %d attempts, %d crashes and age %v, want fresh with %d and %d since over %v",
				names[i], c.State, c.Attempts, c.Crashes, c.Age, n[0], n[1], r.ttl))
		}
	}
	return wrong
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
