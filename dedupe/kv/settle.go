package kv

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
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
	if e.row.Phase.Leased() {
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
func (h *held) found(e entry, now serverclock.Instant, p dedupe.Phase) entry {
	if e = e.at(now.Earliest()); e.row != nil || e.err != nil {
		return e
	}
	c := h.claim
	e.row = &row{
		Phase: p, Owner: c.Nonce, Token: c.Token, Since: now.Time.Add(-max(0, c.Age)).UTC(), Hash: c.Hash,
		Attempts: max(0, c.Attempts), Crashes: max(0, c.Crashes),
	}
	if p == dedupe.PhaseDeadLettering {
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

func (c *settling) decide(e entry, now serverclock.Instant) *row {
	outcome := c.settlement.Outcome
	e = c.found(e, now, outcome.From())
	if !e.owned(c.claim.Nonce) {
		return c.unchanged(false)
	}
	switch phase := e.row.Phase; {
	case phase == outcome.From():
		return c.settled(e.next())
	case phase == dedupe.PhaseDeadLettering && outcome == dedupe.GivenUp:
		// Repeated: its owner counts the lease from now.
		next := e.next()
		next.Span, next.TTL = c.settlement.Lease, c.settlement.TTL
		return next
	}
	return c.unchanged(outcome.HasLedTo(e.row.Phase))
}

// settled ends the claim.
func (c *settling) settled(next *row) *row {
	s := c.settlement
	next.Phase, next.Span, next.TTL = s.Outcome.To(), 0, s.TTL
	if s.AddsAttempt() {
		next.Attempts++
	}
	switch s.Outcome {
	case dedupe.Failed, dedupe.NotBegun:
		next.Span = s.After
	case dedupe.GivenUp:
		next.Span, next.Letter = s.Lease, s.Letter
		next.Reason = dedupe.TrimReason(s.Reason, dedupe.MaxReason)
		if c.tight {
			next.Reason = dedupe.TrimReason(s.Reason, shortReason)
		}
	case dedupe.Succeeded, dedupe.DeadLettered:
	}
	return next
}

type extending struct {
	held
	lease, ttl time.Duration
}

func (c *extending) decide(e entry, now serverclock.Instant) *row {
	as := dedupe.PhaseClaimed
	if c.claim.State == dedupe.DeadLettering {
		as = dedupe.PhaseDeadLettering
	}
	e = c.found(e, now, as)
	if !e.owned(c.claim.Nonce) || !e.row.Phase.Leased() {
		return c.unchanged(false)
	}
	next := e.next()
	next.Span, next.TTL = c.lease, c.ttl
	return next
}
