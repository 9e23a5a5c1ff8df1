package dedupetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// partialCases are of batches of which one key fails.
func partialCases(able *kit) []testcase {
	all := []testcase{{"Partial/mark", partialMark}}
	if able.claimer != nil {
		all = append(all,
			testcase{"Partial/claim", partialClaim},
			testcase{"Partial/takeover", partialTakeover},
			testcase{"Partial/extension", partialExtend},
			testcase{"Partial/settlement", partialSettle})
	}
	return all
}

// partially repeats a batch, of which the write of one key fails once.
func (k *kit) partially(t *testing.T, key dedupe.Key, call func() error) {
	t.Helper()
	fired := k.s.Partial(key)
	var err error
	for range 5 {
		if err = call(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("one write of a batch failed once, and the batch for ever, the last time with: %v", err)
	}
	if !fired() {
		t.Errorf("no write of %s failed: is Subject.Partial armed for it?", key)
	}
}

func partialMark(t *testing.T, k *kit) {
	ks := keys(10)
	var marks []dedupe.Mark
	for _, key := range ks {
		marks = append(marks, doneMark(key))
	}
	k.partially(t, ks[4], func() error { return stored(k.store.Mark(t.Context(), marks)) })
	for _, key := range ks {
		k.is(t, key, dedupe.Done)
	}
}

func (k *kit) partialClaims(t *testing.T, crashes int) []dedupe.Claim {
	t.Helper()
	rs := k.requests(keys(10))
	var cs []dedupe.Claim
	k.partially(t, rs[4].Key, func() (err error) { cs, err = answered(k.claimer.Claim(t.Context(), rs)); return err })
	for _, c := range cs {
		if c.State != dedupe.Fresh || c.Err != nil {
			t.Errorf("%s: %v (%v), want fresh", c.Key, c.State, c.Err)
		}
		counts(t, c, 0, crashes)
		k.held(t, c.Key)
	}
	return cs
}

func partialClaim(t *testing.T, k *kit) {
	for _, c := range k.partialClaims(t, 0) {
		k.settled(t, end(c, dedupe.Failed))
		counts(t, k.fresh(t, c.Key), 1, 0)
	}
}

func partialTakeover(t *testing.T, k *kit) {
	for _, key := range keys(10) {
		k.claim(t, k.brief(key), dedupe.Fresh)
	}
	k.lapse(t)
	k.partialClaims(t, 1)
}

func partialExtend(t *testing.T, k *kit) {
	var rs []dedupe.Request
	for _, key := range keys(10) {
		rs = append(rs, k.brief(key))
	}
	cs := k.claims(t, rs...)
	var oks []bool
	k.partially(t, cs[4].Key, func() (err error) {
		oks, err = applied(k.claimer.Extend(t.Context(), cs, lasting, keeping))
		return err
	})
	k.lapse(t)
	for i, c := range cs {
		if !oks[i] {
			t.Errorf("extension of %s: false, want true", c.Key)
		}
		k.held(t, c.Key)
	}
}

func partialSettle(t *testing.T, k *kit) {
	var ss []dedupe.Settlement
	for _, c := range k.claims(t, k.requests(keys(10))...) {
		ss = append(ss, end(c, dedupe.Failed))
	}
	var oks []bool
	k.partially(t, keys(10)[4], func() (err error) { oks, err = applied(k.claimer.Settle(t.Context(), ss)); return err })
	for i, s := range ss {
		if !oks[i] {
			t.Errorf("settlement of %s: false, want true", s.Claim.Key)
		}
		counts(t, k.fresh(t, s.Claim.Key), 1, 0)
	}
}

func refuseCases(able *kit) []testcase {
	all := []testcase{{"Refuse/marks", refusing}}
	if able.claimer != nil {
		all = append(all, testcase{"Refuse/claims", refusingClaims})
	}
	return all
}

// refusing: a store that cannot be asked says so, and knows all it knew when it can.
func refusing(t *testing.T, k *kit) {
	m, next := doneMark(key("marked")), doneMark(key("unmarked"))
	k.mark(t, m)
	k.s.Refuse(true)
	for range 2 {
		k.fails(t, "Seen", func(ctx context.Context) error { _, err := k.store.Seen(ctx, []dedupe.Key{m.Key}); return err })
		k.fails(t, "Mark", func(ctx context.Context) error { return stored(k.store.Mark(ctx, []dedupe.Mark{next})) })
	}
	k.s.Refuse(false)
	k.is(t, m.Key, dedupe.Done)
	k.mark(t, next)
	k.is(t, next.Key, dedupe.Done)
}

func refusingClaims(t *testing.T, k *kit) {
	a, b := k.fresh(t, key("a")), k.request(key("b"))
	k.s.Refuse(true)
	for range 2 {
		k.fails(t, "Claim", func(ctx context.Context) error { _, err := k.claimer.Claim(ctx, []dedupe.Request{b}); return err })
		k.fails(t, "Extend", func(ctx context.Context) error {
			_, err := applied(k.claimer.Extend(ctx, []dedupe.Claim{a}, lasting, keeping))
			return err
		})
		k.fails(t, "Settle", func(ctx context.Context) error {
			_, err := applied(k.claimer.Settle(ctx, []dedupe.Settlement{end(a, dedupe.Failed)}))
			return err
		})
	}
	k.s.Refuse(false)
	counts(t, k.claim(t, b, dedupe.Fresh), 0, 0)
	k.extended(t, a, lasting, true)
	k.settled(t, end(a, dedupe.Failed))
	counts(t, k.fresh(t, a.Key), 1, 0)
}

func (k *kit) fails(t *testing.T, what string, call func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := call(ctx); err == nil {
		t.Errorf("%s of a store that is refused: no error", what)
	}
}

// fills claims keys one by one until the store is full, and returns the claims and the request that
// did not fit. However long that takes, none expires meanwhile.
func (k *kit) fills(t *testing.T) ([]dedupe.Claim, dedupe.Request) {
	t.Helper()
	var kept []dedupe.Claim
	for i := range 1001 {
		r := k.request(key(fmt.Sprintf("fill-%d", i)))
		r.Lease, r.TTL = lasting, keeping
		cs, err := answered(k.claimer.Claim(t.Context(), []dedupe.Request{r}))
		if err == nil {
			kept = append(kept, cs[0])
			continue
		}
		if !errors.Is(err, dedupe.ErrFull) || len(kept) < 4 {
			t.Fatalf("%d keys are kept, the next one fails with %v, want ErrFull after 4 to 1,000", len(kept), err)
		}
		return kept, r
	}
	t.Fatal("Harness.Bounded: 1,001 keys fit, want 4 to 1,000")
	return nil, dedupe.Request{}
}

// full: at its bound a store refuses rather than forgets.
func full(t *testing.T, k *kit) {
	kept, r := k.fills(t)
	if b, ok := k.store.(dedupe.Bounder); ok {
		if bounds := b.Bounds(); bounds == (dedupe.Bounds{}) || bounds.Keys > 0 && int64(len(kept)) > bounds.Keys {
			t.Errorf("%d keys fit into a store that reports %+v", len(kept), bounds)
		}
	}
	over := doneMark(key("over"))
	over.TTL = k.h.TTL
	switch err := stored(k.store.Mark(t.Context(), []dedupe.Mark{over})); { // what keeps room for rows that are rewritten may take it
	case err == nil:
		k.is(t, over.Key, dedupe.Done)
	case errors.Is(err, dedupe.ErrFull):
		k.is(t, over.Key, dedupe.Fresh)
	default:
		t.Errorf("a mark beyond the bound: %v, want ErrFull", err)
	}
	if rec := k.seen(t, r.Key)[0]; rec.State != dedupe.Fresh || !errors.Is(rec.Err, dedupe.ErrFull) {
		t.Errorf("a key beyond the bound is seen as %v (%v), want fresh with ErrFull", rec.State, rec.Err)
	}
	for i, c := range kept {
		if !k.extends(t, []dedupe.Claim{c}, lasting, keeping)[0] {
			t.Fatalf("claim %d of a full store is gone", i)
		}
	}
	for i, ok := range k.extends(t, kept, k.h.Lease, k.h.TTL) {
		if !ok {
			t.Fatalf("claim %d of a full store is gone", i)
		}
	}
	s := end(kept[0], dedupe.Succeeded)
	s.TTL = k.h.TTL
	k.settled(t, s)
	answers := k.claims(t, r, k.request(s.Claim.Key)) // the first may fit since rows were written again
	if err := answers[0].Err; err != nil && !errors.Is(err, dedupe.ErrFull) || answers[1].State != dedupe.Done {
		t.Errorf("of a full store, claims of a new key and of what is done: %+v, want ErrFull and done", answers)
	}
	k.expire(t)
	c := k.claim(t, r, dedupe.Fresh)
	counts(t, c, 0, 0)
	k.settled(t, end(c, dedupe.Succeeded))
}

// fullEnds: what a full store has let in can be renewed and ended, each way, with the longest
// reason and the longest error of an attempt.
func fullEnds(t *testing.T, k *kit) {
	kept, _ := k.fills(t)
	for range 2 {
		for i, ok := range k.extends(t, kept, 2*lasting, keeping) {
			if !ok {
				t.Fatalf("renewal of claim %d of a full store: superseded", i)
			}
		}
	}
	outcomes := []dedupe.Outcome{dedupe.Succeeded, dedupe.GivenUp, dedupe.Failed, dedupe.NotBegun}
	var deadLettered []dedupe.Claim
	for i, c := range kept {
		s := end(c, outcomes[i%len(outcomes)])
		s.Reason, s.After = strings.Repeat("r", dedupe.MaxReason), lasting
		if s.Outcome != dedupe.Succeeded {
			s.Attempt = &dedupe.Attempt{Number: 1, Error: strings.Repeat("e", dedupe.MaxAttemptError)}
		}
		k.settled(t, s)
		if s.Outcome == dedupe.GivenUp {
			deadLettered = append(deadLettered, c)
		}
	}
	for _, c := range deadLettered {
		k.settled(t, end(c, dedupe.DeadLettered))
	}
	for i, c := range kept {
		want := []dedupe.State{dedupe.Done, dedupe.Dead, dedupe.Held, dedupe.Held}[i%len(outcomes)]
		k.is(t, c.Key, want)
	}
}
