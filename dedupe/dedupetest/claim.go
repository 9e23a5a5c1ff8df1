package dedupetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func claimCases() []testcase {
	return []testcase{
		{"Claim/fresh, then held", freshThenHeld},
		{"Claim/another copy in this process", copyInProcess},
		{"Claim/repeated keys in a batch", repeatedClaims},
		{"Claim/repeated under its nonce", claimRepeated},
		{"Claim/repeated after its lease", claimRepeatedLapsed},
		{"Claim/repeated after it was settled", claimRepeatedSettled},
		{"Claim/takeover after the lease", takeover},
		{"Claim/of what is marked", claimMarked},
		{"Claim/seen meanwhile", seenMeanwhile},
		{"Claim/another payload in every state", reusedEverywhere},
		{"Claim/no hash matches any", nilHash},
		{"Claim/any hash is kept", oddHashes},
		{"Claim/hashes of other algorithms are not compared", otherAlgorithms},
		{"Claim/one that is refused stops no other", refusedClaim},
		{"Claim/age", age},
		{"Claim/scope is topic, group and id", claimScope},
		{"Claim/mixed batch", mixedBatch},
		{"Claim/large batches", largeClaims},
		{"Claim/an ended context", claimEndedContext},
	}
}

func freshThenHeld(t *testing.T, k *kit) {
	a := k.fresh(t, key("a"))
	counts(t, a, 0, 0)
	sameHash(t, a.Key, a.Hash, hashA)
	if a.HeldFor < lasting/2 {
		t.Errorf("a fresh claim is held for %v of %v", a.HeldFor, lasting)
	}
	if h := k.held(t, a.Key); h.HeldFor < lasting/2 || h.HeldFor > lasting+leeway {
		t.Errorf("held for %v of %v", h.HeldFor, lasting)
	}
	k.settled(t, end(a, dedupe.Succeeded))
	k.claim(t, k.request(a.Key), dedupe.Done)
	k.is(t, a.Key, dedupe.Done)
}

// copyInProcess: who owns a claim is told by nonce, not by process or client.
func copyInProcess(t *testing.T, k *kit) {
	a := k.fresh(t, key("a"))
	b := k.request(a.Key)
	k.claim(t, b, dedupe.Held)
	k.claim(t, b, dedupe.Held)
	k.refused(t, end(dedupe.Claim{Key: b.Key, Nonce: b.Nonce, Token: a.Token}, dedupe.Succeeded))
	k.settled(t, end(a, dedupe.Succeeded))
}

func repeatedClaims(t *testing.T, k *kit) {
	a, b := key("a"), key("b")
	rs := k.requests([]dedupe.Key{a, b, a, a, b})
	won := map[dedupe.Key]int{}
	for _, c := range k.claims(t, rs...) {
		switch c.State {
		case dedupe.Fresh:
			won[c.Key]++
			k.settled(t, end(c, dedupe.Succeeded))
		case dedupe.Held:
		default:
			t.Errorf("a key repeated in a batch: %v, want fresh or held", c.State)
		}
	}
	if won[a] != 1 || won[b] != 1 {
		t.Errorf("won %v, want one claim of each key", won)
	}
}

func claimRepeated(t *testing.T, k *kit) {
	r := k.request(key("a"))
	first := k.claim(t, r, dedupe.Fresh)
	for range 3 {
		again := k.claim(t, r, dedupe.Fresh)
		counts(t, again, 0, 0)
		if again.Token != first.Token {
			t.Errorf("token %d, and %d when repeated", first.Token, again.Token)
		}
	}
	k.held(t, r.Key)
	k.settled(t, end(first, dedupe.Succeeded))
}

func claimRepeatedLapsed(t *testing.T, k *kit) {
	r := k.brief(key("a"))
	first := k.claim(t, r, dedupe.Fresh)
	k.lapse(t)
	r.Lease = lasting
	again := k.claim(t, r, dedupe.Fresh)
	counts(t, again, 0, 0)
	if again.Token != first.Token {
		t.Errorf("token %d, and %d when repeated after its lease", first.Token, again.Token)
	}
	k.held(t, r.Key) // renewed
	k.settled(t, end(first, dedupe.Succeeded))
}

// claimRepeatedSettled: a request that is heard again too late finds no claim of its own, and wins
// none: its sender has long gone on.
func claimRepeatedSettled(t *testing.T, k *kit) {
	for _, o := range []dedupe.Outcome{dedupe.Failed, dedupe.NotBegun} {
		r := k.request(key(o.String()))
		s := end(k.claim(t, r, dedupe.Fresh), o)
		s.After = k.h.Lease
		k.settled(t, s)
		k.claim(t, r, dedupe.Held)
		k.lapse(t)
		k.claim(t, r, dedupe.Held)
		c := k.fresh(t, r.Key)
		k.settled(t, end(c, dedupe.Succeeded))
		k.claim(t, r, dedupe.Done)
	}
}

func takeover(t *testing.T, k *kit) {
	token := uint64(0)
	var owners []dedupe.Claim
	for crashes := range 3 {
		c := k.claim(t, k.brief(key("a")), dedupe.Fresh)
		counts(t, c, 0, crashes)
		if c.Token <= token {
			t.Errorf("takeover %d: token %d after %d: must grow", crashes, c.Token, token)
		}
		token = c.Token
		owners = append(owners, c)
		k.lapse(t)
	}
	last := k.fresh(t, key("a"))
	for _, c := range owners {
		stale(t, k, c)
	}
	k.held(t, last.Key)
	k.settled(t, end(last, dedupe.Succeeded))
}

// stale wants nothing to come of what a former owner does.
func stale(t *testing.T, k *kit, c dedupe.Claim) {
	t.Helper()
	k.extended(t, c, lasting, false)
	for _, o := range []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp, dedupe.DeadLettered} {
		k.refused(t, end(c, o))
	}
}

func claimMarked(t *testing.T, k *kit) {
	done, dead := doneMark(key("done")), doneMark(key("dead"))
	dead.State = dedupe.Dead
	k.mark(t, done, dead)
	c := k.claim(t, k.request(done.Key), dedupe.Done)
	sameHash(t, c.Key, c.Hash, hashA)
	k.claim(t, k.request(dead.Key), dedupe.Dead)
}

func seenMeanwhile(t *testing.T, k *kit) {
	a := k.fresh(t, key("a"))
	k.is(t, a.Key, dedupe.Held)
	s := end(a, dedupe.Failed)
	s.After = lasting
	k.settled(t, s)
	k.is(t, a.Key, dedupe.Held)
	b := k.fresh(t, key("b"))
	k.settled(t, end(b, dedupe.Failed))
	k.is(t, b.Key, dedupe.Fresh)
	k.deadLetteringKey(t, key("c"), lasting)
	k.is(t, key("c"), dedupe.DeadLettering)
}

// reusedEverywhere brings a key into each state, asks for it with another payload, and wants
// nothing changed.
func reusedEverywhere(t *testing.T, k *kit) {
	due, notDue, lapsed := key("due"), key("not due"), key("lapsed")
	own := k.fresh(t, key("claimed"))
	k.claim(t, k.brief(lapsed), dedupe.Fresh)
	k.settled(t, end(k.fresh(t, due), dedupe.Failed))
	later := end(k.fresh(t, notDue), dedupe.Failed)
	later.After = lasting
	k.settled(t, later)
	deadLettering := k.deadLetteringKey(t, key("dead-lettering"), lasting)
	k.deadLetteringKey(t, key("dead-lettering lapsed"), k.h.Lease)
	k.settled(t, end(k.deadLetteringKey(t, key("dead"), lasting), dedupe.DeadLettered))
	k.settled(t, end(k.fresh(t, key("done")), dedupe.Succeeded))
	k.mark(t, doneMark(key("marked")))
	k.lapse(t)

	states := map[dedupe.Key]dedupe.State{
		key("claimed"): dedupe.Held, lapsed: dedupe.Fresh, due: dedupe.Fresh, notDue: dedupe.Held, key("dead-lettering"): dedupe.Held,
		key("dead-lettering lapsed"): dedupe.DeadLettering, key("dead"): dedupe.Dead, key("done"): dedupe.Done, key("marked"): dedupe.Done,
	}
	for range 2 {
		for key := range states {
			r := k.request(key)
			r.Hash = hashB
			c := k.claim(t, r, dedupe.Reused)
			sameHash(t, key, c.Hash, hashA)
			k.refused(t, end(dedupe.Claim{Key: key, Nonce: r.Nonce, Token: c.Token}, dedupe.Succeeded))
		}
	}
	own2 := k.request(own.Key)
	own2.Nonce, own2.Hash = own.Nonce, hashB
	k.claim(t, own2, dedupe.Reused)
	for key, want := range states {
		c := k.claim(t, k.request(key), want)
		if key == lapsed {
			counts(t, c, 0, 1)
		}
		if key == due {
			counts(t, c, 1, 0)
		}
	}
	k.settled(t, end(own, dedupe.Succeeded))
	k.settled(t, end(deadLettering, dedupe.DeadLettered))
}

func nilHash(t *testing.T, k *kit) {
	none := k.request(key("a"))
	none.Hash = nil
	k.claim(t, none, dedupe.Fresh)
	k.held(t, none.Key)

	a := k.fresh(t, key("b"))
	asking := k.request(a.Key)
	asking.Hash = nil
	h := k.claim(t, asking, dedupe.Held)
	sameHash(t, a.Key, h.Hash, hashA)
	k.settled(t, end(a, dedupe.Failed))
	asking = k.request(a.Key)
	asking.Hash = nil
	c := k.claim(t, asking, dedupe.Fresh)
	sameHash(t, a.Key, c.Hash, hashA)
	other := k.request(a.Key)
	other.Hash = hashB
	k.claim(t, other, dedupe.Reused) // the first payload's hash is kept
	k.settled(t, end(c, dedupe.Succeeded))
	asking.Nonce = k.nonce()
	k.claim(t, asking, dedupe.Done)
}

func otherAlgorithms(t *testing.T, k *kit) {
	one := bytes.Repeat([]byte{1}, 16)
	a := k.request(key("a"))
	a.Hash = dedupe.NewHash("bytes", one)
	c := k.claim(t, a, dedupe.Fresh)
	k.settled(t, end(c, dedupe.Failed))
	for algorithm, want := range map[string]dedupe.State{"bytes": dedupe.Reused, "json": dedupe.Fresh} {
		b := k.request(a.Key)
		b.Hash = dedupe.NewHash(algorithm, bytes.Repeat([]byte{2}, 16))
		c := k.claim(t, b, want)
		sameHash(t, a.Key, c.Hash, a.Hash)
		if want == dedupe.Fresh {
			k.settled(t, end(c, dedupe.NotBegun))
		}
	}
}

// refusedClaim: a request, and a mark, that no repeat will make the store take is
// answered by itself.
func refusedClaim(t *testing.T, k *kit) {
	rs := k.requests(keys(3))
	rs[1].Hash = make([]byte, dedupe.MaxHash+1)
	for i, c := range k.claims(t, rs...) {
		if i != 1 && (c.Err != nil || c.State != dedupe.Fresh) || i == 1 && !errors.Is(c.Err, dedupe.ErrKeyRefused) {
			t.Errorf("claim %d: %v, %v", i, c.State, c.Err)
		}
	}
	var marks []dedupe.Mark
	for _, name := range []string{"a", "b", "c"} {
		marks = append(marks, doneMark(key(name)))
	}
	marks[1].Hash = rs[1].Hash
	errs, err := k.store.Mark(t.Context(), marks)
	if err != nil || len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], dedupe.ErrKeyRefused) || errs[2] != nil {
		t.Errorf("marks: %v, %v, want an ErrKeyRefused of the second alone", errs, err)
	}
	k.is(t, marks[0].Key, dedupe.Done)
	k.is(t, marks[1].Key, dedupe.Fresh)
	k.is(t, marks[2].Key, dedupe.Done)
}

func oddHashes(t *testing.T, k *kit) {
	for i, h := range [][]byte{{0}, {0, 0}, {0xff}, []byte("text"), make([]byte, 31), bytes.Repeat([]byte{1}, 33), bytes.Repeat([]byte{2}, dedupe.MaxHash)} {
		r := k.request(keys(10)[i])
		r.Hash = h
		c := k.claim(t, r, dedupe.Fresh)
		sameHash(t, r.Key, c.Hash, h)
		h[0]++ // the store has a copy
		r = k.request(r.Key)
		r.Hash = h
		c = k.claim(t, r, dedupe.Reused)
		h[0]--
		sameHash(t, r.Key, c.Hash, h)
	}
}

func age(t *testing.T, k *kit) {
	a := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	if a.Age > leeway {
		t.Errorf("age %v of a key that was just claimed first", a.Age)
	}
	k.lapse(t)
	b := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	older(t, k, "takeover", b.Age, 1)
	k.settled(t, end(b, dedupe.Failed))
	k.lapse(t)
	c := k.fresh(t, key("a"))
	older(t, k, "release", c.Age, 2)
	again := k.request(key("a"))
	again.Nonce = c.Nonce
	older(t, k, "repeat", k.claim(t, again, dedupe.Fresh).Age, 2)
	s := end(c, dedupe.GivenUp)
	s.Lease = k.h.Lease
	k.settled(t, s)
	k.lapse(t)
	older(t, k, "giving up", k.claim(t, k.request(key("a")), dedupe.DeadLettering).Age, 3)
}

// older wants an age of so many lapses, less a tenth for clocks that are not quite one.
func older(t *testing.T, k *kit, what string, got time.Duration, lapses int) {
	t.Helper()
	lapse := k.h.Lease + k.h.Lease/2
	if want := time.Duration(lapses) * lapse * 9 / 10; got < want || got > lasting {
		t.Errorf("age after %s: %v, want at least %v", what, got, want)
	}
}

func claimScope(t *testing.T, k *kit) {
	a := dedupe.Key{Topic: "t", Group: "g", ID: "i"}
	others := []dedupe.Key{{Topic: "u", Group: "g", ID: "i"}, {Topic: "t", Group: "h", ID: "i"}, {Topic: "t", Group: "g", ID: "j"}}
	c := k.fresh(t, a)
	for _, b := range others {
		k.fresh(t, b)
	}
	k.settled(t, end(c, dedupe.Succeeded))
	for _, b := range others {
		k.held(t, b)
	}
}

func mixedBatch(t *testing.T, k *kit) {
	ks := keys(5)
	k.fresh(t, ks[0])
	k.mark(t, doneMark(ks[1]))
	k.settled(t, end(k.fresh(t, ks[2]), dedupe.Failed))
	rs := k.requests([]dedupe.Key{ks[3], ks[0], ks[1], ks[2], ks[4], ks[1]})
	rs[4].Hash = nil
	rs[5].Hash = hashB
	want := []dedupe.State{dedupe.Fresh, dedupe.Held, dedupe.Done, dedupe.Fresh, dedupe.Fresh, dedupe.Reused}
	for i, c := range k.claims(t, rs...) {
		if c.State != want[i] {
			t.Errorf("claim %d of a mixed batch: %v, want %v", i, c.State, want[i])
		}
	}
}

func largeClaims(t *testing.T, k *kit) {
	const n = 1200
	ks := keys(n)
	cs := k.claims(t, k.requests(ks)...)
	for i, ok := range k.extends(t, cs, lasting, keeping) {
		if cs[i].State != dedupe.Fresh || !ok {
			t.Fatalf("claim %d of %d: %v, extended: %t", i, n, cs[i].State, ok)
		}
	}
	outcomes := []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.GivenUp, dedupe.NotBegun}
	ss := make([]dedupe.Settlement, n)
	for i := range cs {
		ss[i] = end(cs[i], outcomes[i%4])
	}
	for i, ok := range k.settles(t, ss...) {
		if !ok {
			t.Fatalf("settlement %d of %d: superseded", i, n)
		}
	}
	want := []dedupe.State{dedupe.Done, dedupe.Fresh, dedupe.Held, dedupe.Fresh}
	for i, c := range k.claims(t, k.requests(ks)...) {
		if c.State != want[i%4] {
			t.Fatalf("claim %d of %d: %v, want %v", i, n, c.State, want[i%4])
		}
		if i%4 == 1 && c.Attempts != 1 {
			t.Fatalf("claim %d of %d: %d attempts, want 1", i, n, c.Attempts)
		}
	}
}

// claimEndedContext: what a cancelled call left behind is mended by its repetition.
func claimEndedContext(t *testing.T, k *kit) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r := k.request(key("a"))
	if _, err := k.claimer.Claim(ended, []dedupe.Request{r}); err == nil {
		t.Error("Claim under an ended context: no error")
	}
	c := k.claim(t, r, dedupe.Fresh)
	counts(t, c, 0, 0)
	if _, err := k.claimer.Extend(ended, []dedupe.Claim{c}, lasting, keeping); err == nil {
		t.Error("Extend under an ended context: no error")
	}
	k.extended(t, c, lasting, true)
	if _, err := k.claimer.Settle(ended, []dedupe.Settlement{end(c, dedupe.Failed)}); err == nil {
		t.Error("Settle under an ended context: no error")
	}
	k.settled(t, end(c, dedupe.Failed))
	counts(t, k.fresh(t, c.Key), 1, 0)
}
