package kv

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Settle implements dedupe.Claimer. Claims that this Store made, and nobody took over, are settled
// in one round trip.
func (s *Store) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	changes := make([]settling, len(ss))
	return s.end(ctx, "settle", len(ss), func(i int) (change, *held) {
		changes[i] = settling{held: held{store: s, claim: &ss[i].Claim}, settlement: &ss[i]}
		return &changes[i], &changes[i].held
	})
}

// Extend implements dedupe.Claimer, at the cost of Settle.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	changes := make([]extending, len(cs))
	return s.end(ctx, "extend", len(cs), func(i int) (change, *held) {
		changes[i] = extending{held: held{store: s, claim: &cs[i]}, lease: lease, ttl: ttl}
		return &changes[i], &changes[i].held
	})
}

// end carries out n changes of claims.
func (s *Store) end(ctx context.Context, what string, n int, start func(i int) (change, *held)) ([]error, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer cancel()
	errs := make([]error, n)
	turns := make([]turn, n)
	for i := range n {
		c, h := start(i)
		h.key, h.err = eventKey(h.claim.Key), &errs[i]
		e, found := s.holding.find(h.claim.Nonce, h.key)
		turns[i] = turn{key: h.key, change: c, entry: e, known: found, guess: found}
	}
	if err := s.converge(ctx, turns); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return errs, nil
}

// held is a claim that its owner wants to change, and what he is answered.
type held struct {
	store *Store
	key   string
	claim *dedupe.Claim
	err   *error
}

func (h *held) kept(e entry) {
	*h.err = nil
	if e.row.Phase == claimed || e.row.Phase == dying {
		h.store.holding.keep(h.key, e)
	} else {
		h.store.holding.drop(h.claim.Nonce)
	}
}

// unchanged is the end without a write: what was asked for is so already, or the claim
// is superseded.
func (h *held) unchanged(ok bool) *row {
	*h.err = nil
	if !ok {
		*h.err = dedupe.ErrSuperseded
	}
	h.store.holding.drop(h.claim.Nonce)
	return nil
}

func (h *held) failed(err error) { *h.err = err }

func (h *held) tighten() bool { return false }

// found is what is kept of the claim. Where nothing is, it is the claim itself, in that phase:
// whoever writes next writes it again.
func (h *held) found(e entry, now moment, p phase) entry {
	if e = e.at(now.earliest); e.row != nil || e.err != nil {
		return e
	}
	c := h.claim
	e.row = &row{
		Phase: p, Owner: c.Nonce, Token: c.Token, Since: now.likely().Add(-max(0, c.Age)).UTC(), Hash: c.Hash,
		Attempts: max(0, c.Attempts), Crashes: max(0, c.Crashes),
	}
	if p == dying {
		e.row.Reason, e.row.Letter = dedupe.TrimReason(c.Reason, dedupe.MaxReason), c.Letter
	}
	return e
}

type settling struct {
	held
	settlement *dedupe.Settlement
	tight      bool // the bucket is full: the reason is cut short
}

// shortReason is what is kept of a reason in a bucket that is full. The dead letter has all of it,
// unless another process stores it.
const shortReason = 64

// tighten gives up most of a reason for having the settlement stored.
func (c *settling) tighten() bool {
	if c.tight || c.settlement.Outcome != dedupe.GivenUp || len(c.settlement.Reason) <= shortReason {
		return false
	}
	c.tight = true
	return true
}

func (c *settling) decide(e entry, now moment) *row {
	from := claimed
	if c.settlement.Outcome == dedupe.DeadLettered {
		from = dying
	}
	e = c.found(e, now, from)
	if !e.owned(c.claim.Nonce) {
		return c.unchanged(false)
	}
	outcome, phase := c.settlement.Outcome, e.row.Phase
	switch {
	case phase == claimed && outcome != dedupe.DeadLettered:
		return c.settled(e.next())
	case phase == dying && outcome == dedupe.DeadLettered:
		next := e.next()
		next.Phase, next.Span, next.TTL = dead, 0, c.settlement.TTL
		return next
	case phase == dying && outcome == dedupe.GivenUp:
		// Repeated: its owner counts the lease from now.
		next := e.next()
		next.Span, next.TTL = c.settlement.Lease, c.settlement.TTL
		return next
	}
	return c.unchanged(phase == result(outcome) || phase == dead && outcome == dedupe.GivenUp)
}

// result is where an outcome leads.
func result(o dedupe.Outcome) phase {
	switch o {
	case dedupe.Succeeded:
		return done
	case dedupe.GivenUp:
		return dying
	case dedupe.DeadLettered:
		return dead
	case dedupe.Failed, dedupe.NotBegun:
	}
	return free
}

// settled ends what is claimed.
func (c *settling) settled(next *row) *row {
	s := c.settlement
	next.Phase, next.Span, next.TTL = result(s.Outcome), s.After, s.TTL
	switch s.Outcome {
	case dedupe.Failed:
		next.Attempts++
	case dedupe.GivenUp:
		next.Span, next.Letter = s.Lease, s.Letter
		next.Reason = dedupe.TrimReason(s.Reason, dedupe.MaxReason)
		if c.tight {
			next.Reason = dedupe.TrimReason(s.Reason, shortReason)
		}
		if s.CountAttempt {
			next.Attempts++
		}
	case dedupe.Succeeded:
		next.Span = 0
	case dedupe.NotBegun, dedupe.DeadLettered:
	}
	return next
}

type extending struct {
	held
	lease, ttl time.Duration
}

func (c *extending) decide(e entry, now moment) *row {
	as := claimed
	if c.claim.State == dedupe.DeadLettering {
		as = dying
	}
	e = c.found(e, now, as)
	if !e.owned(c.claim.Nonce) || e.row.Phase != claimed && e.row.Phase != dying {
		return c.unchanged(false)
	}
	next := e.next()
	next.Span, next.TTL = c.lease, c.ttl
	return next
}
