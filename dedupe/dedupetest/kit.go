package dedupetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

const (
	// lasting is the length of leases that no test outlives, keeping of TTLs.
	lasting = 2 * time.Minute
	keeping = 30 * time.Minute
	// leeway is what a store may add for its uncertainty about time.
	leeway = 5 * time.Second
)

// kit is a store under test and what the cases do with it.
type kit struct {
	h           *Harness
	s           Subject
	store       dedupe.Store
	claimer     dedupe.Claimer
	reopener    dedupe.Reopener
	inspector   dedupe.Inspector
	noter       dedupe.Noter
	watermarker dedupe.Watermarker
	remover     dedupe.GroupRemover
	nonces      atomic.Int64
}

// over is the same kit, asking another client of the same data.
func (k *kit) over(t *testing.T, s dedupe.Store) *kit {
	t.Helper()
	other := &kit{h: k.h, s: Subject{Store: s}}
	other.bind()
	other.nonces.Store(k.nonces.Add(1) << 32)
	return other
}

func (k *kit) nonce() string { return fmt.Sprintf("nonce-%d", k.nonces.Add(1)) }

// lapse waits until leases of Harness.Lease are over.
func (k *kit) lapse(t *testing.T) {
	t.Helper()
	k.h.Wait(t, k.h.Lease+k.h.Lease/2)
}

// expire waits until TTLs of Harness.TTL are over.
func (k *kit) expire(t *testing.T) {
	t.Helper()
	k.h.Wait(t, k.h.TTL+k.h.TTL/4)
}

func key(id string) dedupe.Key {
	return dedupe.Key{Topic: "orders.created", Group: "billing", ID: id}
}

func keys(n int) []dedupe.Key {
	all := make([]dedupe.Key, n)
	for i := range all {
		all[i] = key(fmt.Sprintf("order-%d", i))
	}
	return all
}

var (
	hashA = bytes.Repeat([]byte{0xa0}, 32)
	hashB = bytes.Repeat([]byte{0xb1}, 32)
)

// request asks for a key under a nonce of its own, with a lease that lasts.
func (k *kit) request(key dedupe.Key) dedupe.Request {
	return dedupe.Request{Key: key, Nonce: k.nonce(), Hash: hashA, Lease: lasting, TTL: keeping}
}

// brief asks for a lease that lapses.
func (k *kit) brief(key dedupe.Key) dedupe.Request {
	r := k.request(key)
	r.Lease = k.h.Lease
	return r
}

func (k *kit) requests(keys []dedupe.Key) []dedupe.Request {
	rs := make([]dedupe.Request, len(keys))
	for i := range keys {
		rs[i] = k.request(keys[i])
	}
	return rs
}

// claims asks, and holds the answer to what is true of every answer.
func (k *kit) claims(t *testing.T, rs ...dedupe.Request) []dedupe.Claim {
	t.Helper()
	cs, err := k.claimer.Claim(t.Context(), rs)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	if len(cs) != len(rs) {
		t.Fatalf("Claim answers %d claims to %d requests", len(cs), len(rs))
	}
	for i := range cs {
		sane(t, &rs[i], &cs[i])
	}
	return cs
}

func sane(t *testing.T, r *dedupe.Request, c *dedupe.Claim) {
	t.Helper()
	if c.Key != r.Key || c.Nonce != r.Nonce {
		t.Errorf("claim of %s under %q is answered for %s under %q", r.Key, r.Nonce, c.Key, c.Nonce)
	}
	if c.HeldFor < 0 || c.Age < 0 {
		t.Errorf("claim of %s: HeldFor %v, Age %v: must not be negative", r.Key, c.HeldFor, c.Age)
	}
	if c.State != dedupe.Fresh && c.State != dedupe.DeadLettering {
		return
	}
	if c.Token == 0 && c.Err == nil {
		t.Errorf("claim of %s: token 0: must be 1 or above", r.Key)
	}
	if c.HeldFor > r.Lease+leeway {
		t.Errorf("claim of %s: HeldFor %v of a lease of %v", r.Key, c.HeldFor, r.Lease)
	}
}

// claim asks for one key and wants that answer.
func (k *kit) claim(t *testing.T, r dedupe.Request, want dedupe.State) dedupe.Claim {
	t.Helper()
	c := k.claims(t, r)[0]
	if c.Err != nil {
		t.Fatalf("claim of %s: %v", r.Key, c.Err)
	}
	if c.State != want {
		t.Fatalf("claim of %s: %v, want %v: %+v", r.Key, c.State, want, c)
	}
	return c
}

// fresh claims a key that is to be had, with a lease that lasts.
func (k *kit) fresh(t *testing.T, key dedupe.Key) dedupe.Claim {
	t.Helper()
	return k.claim(t, k.request(key), dedupe.Fresh)
}

// held wants a key to be somebody else's.
func (k *kit) held(t *testing.T, key dedupe.Key) dedupe.Claim {
	t.Helper()
	return k.claim(t, k.request(key), dedupe.Held)
}

// counts wants those counts of a claim.
func counts(t *testing.T, c dedupe.Claim, attempts, crashes int) {
	t.Helper()
	if c.Attempts != attempts || c.Crashes != crashes {
		t.Errorf("%s: %d attempts and %d crashes, want %d and %d", c.Key, c.Attempts, c.Crashes, attempts, crashes)
	}
}

// end is the settlement of a claim, the lease of its dead letter lasting.
func end(c dedupe.Claim, o dedupe.Outcome) dedupe.Settlement {
	s := dedupe.Settlement{Claim: c, Outcome: o, TTL: keeping}
	if o == dedupe.GivenUp {
		s.Reason, s.Letter, s.Lease = "card declined", "billing/ORDERS/7", lasting
	}
	return s
}

// applied reports for each item whether it was carried out, or superseded. Any other answer
// fails the call.
func applied(errs []error, err error) ([]bool, error) {
	oks := make([]bool, len(errs))
	for i, e := range errs {
		if oks[i] = e == nil; !oks[i] && !errors.Is(e, dedupe.ErrSuperseded) {
			err = errors.Join(err, fmt.Errorf("item %d: %w", i, e))
		}
	}
	return oks, err
}

// answered fails the call where a request was not answered for a reason that may pass.
func answered(cs []dedupe.Claim, err error) ([]dedupe.Claim, error) {
	for _, c := range cs {
		if c.Err != nil && !errors.Is(c.Err, dedupe.ErrKeyRefused) {
			err = errors.Join(err, fmt.Errorf("%s: %w", short(c.Key), c.Err))
		}
	}
	return cs, err
}

// stored is nil when every item was carried out.
func stored(errs []error, err error) error { return errors.Join(append(errs, err)...) }

func (k *kit) settles(t *testing.T, ss ...dedupe.Settlement) []bool {
	t.Helper()
	oks, err := applied(k.claimer.Settle(t.Context(), ss))
	if err != nil {
		t.Fatalf("Settle: %v", err)
	}
	if len(oks) != len(ss) {
		t.Fatalf("Settle answers %d to %d settlements", len(oks), len(ss))
	}
	return oks
}

// settled settles one claim, which is still its owner's.
func (k *kit) settled(t *testing.T, s dedupe.Settlement) {
	t.Helper()
	if !k.settles(t, s)[0] {
		t.Fatalf("settlement of %s as %v: superseded, want applied", s.Claim.Key, s.Outcome)
	}
}

// refused settles one claim, which is its owner's no longer.
func (k *kit) refused(t *testing.T, s dedupe.Settlement) {
	t.Helper()
	if k.settles(t, s)[0] {
		t.Errorf("settlement of %s as %v is applied, want superseded", s.Claim.Key, s.Outcome)
	}
}

func (k *kit) extends(t *testing.T, cs []dedupe.Claim, lease, ttl time.Duration) []bool {
	t.Helper()
	oks, err := applied(k.claimer.Extend(t.Context(), cs, lease, ttl))
	if err != nil {
		t.Fatalf("Extend: %v", err)
	}
	if len(oks) != len(cs) {
		t.Fatalf("Extend answers %d to %d claims", len(oks), len(cs))
	}
	return oks
}

// extended wants Extend of one claim to answer that.
func (k *kit) extended(t *testing.T, c dedupe.Claim, lease time.Duration, want bool) {
	t.Helper()
	if k.extends(t, []dedupe.Claim{c}, lease, keeping)[0] != want {
		t.Errorf("extension of %s: %t, want %t", c.Key, !want, want)
	}
}

func (k *kit) seen(t *testing.T, keys ...dedupe.Key) []dedupe.Record {
	t.Helper()
	rs, err := k.store.Seen(t.Context(), keys)
	if err != nil {
		t.Fatalf("Seen: %v", err)
	}
	if len(rs) != len(keys) {
		t.Fatalf("Seen answers %d records to %d keys", len(rs), len(keys))
	}
	return rs
}

// is wants Seen to answer that.
func (k *kit) is(t *testing.T, key dedupe.Key, want dedupe.State) {
	t.Helper()
	if got := k.seen(t, key)[0].State; got != want {
		t.Errorf("%s is seen as %v, want %v", key, got, want)
	}
}

func (k *kit) mark(t *testing.T, marks ...dedupe.Mark) {
	t.Helper()
	if err := stored(k.store.Mark(t.Context(), marks)); err != nil {
		t.Fatalf("Mark: %v", err)
	}
}

func doneMark(key dedupe.Key) dedupe.Mark {
	return dedupe.Mark{Key: key, State: dedupe.Done, Hash: hashA, TTL: keeping}
}

// present wants the row to be there still, where that can be told.
func (k *kit) present(t *testing.T, keys ...dedupe.Key) {
	t.Helper()
	if k.s.Present == nil {
		return
	}
	for _, key := range keys {
		if !k.s.Present(t, key) {
			t.Fatalf("the row of %s is gone: the case cannot tell expiry from absence", key)
		}
	}
}

// deadLetteringKey gives up a key, with that lease for its dead letter.
func (k *kit) deadLetteringKey(t *testing.T, key dedupe.Key, lease time.Duration) dedupe.Claim {
	t.Helper()
	c := k.fresh(t, key)
	s := end(c, dedupe.GivenUp)
	s.Lease = lease
	k.settled(t, s)
	return c
}

func sameHash(t *testing.T, key dedupe.Key, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: hash %x, want %x", key, got, want)
	}
}
