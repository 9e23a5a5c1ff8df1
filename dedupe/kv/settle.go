package kv

import (
	"context"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// Settle implements dedupe.Claimer. Claims that this Store made, and nobody took over, are settled
// in one round trip.
func (s *Store) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	changes := make([]settleChange, len(ss))
	return s.changeClaims(ctx, "settle", len(ss), func(i int) (keyChange, *ownedClaim) {
		changes[i] = settleChange{ownedClaim: ownedClaim{store: s, claim: &ss[i].Claim}, settlement: &ss[i]}
		return &changes[i], &changes[i].ownedClaim
	})
}

// Extend implements dedupe.Claimer, at the cost of Settle.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	changes := make([]extendChange, len(cs))
	return s.changeClaims(ctx, "extend", len(cs), func(i int) (keyChange, *ownedClaim) {
		changes[i] = extendChange{ownedClaim: ownedClaim{store: s, claim: &cs[i]}, lease: lease, ttl: ttl}
		return &changes[i], &changes[i].ownedClaim
	})
}

func (s *Store) changeClaims(ctx context.Context, call string, n int, start func(i int) (keyChange, *ownedClaim)) ([]error, error) {
	errs := make([]error, n)
	turns := make([]casOp, n)
	for i := range n {
		c, h := start(i)
		h.key, h.err = eventKey(h.claim.Key), &errs[i]
		e, found := s.claims.findClaim(h.claim.Nonce, h.key)
		turns[i] = casOp{key: h.key, change: c, entry: e, isKnown: found, isGuess: found}
	}
	if err := s.runOps(ctx, call, turns); err != nil {
		return nil, err
	}
	return errs, nil
}

// ownedClaim is a claim that its owner changes, and where the answer goes.
type ownedClaim struct {
	store *Store
	key   string
	claim *dedupe.Claim
	err   *error
}

func (h *ownedClaim) onKept(e keyEntry) {
	*h.err = nil
	if e.row.Phase.Leased() {
		h.store.claims.rememberClaim(h.key, e)
	} else {
		h.store.claims.forgetClaim(h.claim.Nonce)
	}
}

// endUnchanged ends the change without a write: it was made before, or the claim is superseded.
func (h *ownedClaim) endUnchanged(ok bool) *keyRow {
	*h.err = nil
	if !ok {
		*h.err = dedupe.ErrSuperseded
	}
	h.store.claims.forgetClaim(h.claim.Nonce)
	return nil
}

func (h *ownedClaim) onFailed(err error) { *h.err = err }

// rowOrClaim returns what is kept of the claim. Where nothing is, it returns the claim itself, in
// that phase, so that the next write restores it.
func (h *ownedClaim) rowOrClaim(e keyEntry, now serverclock.Instant, p dedupe.Phase) keyEntry {
	if e = e.asOf(now.Earliest()); e.row != nil || e.err != nil {
		return e
	}
	c := h.claim
	e.row = &keyRow{
		Phase: p, Owner: c.Nonce, Token: c.Token, Since: now.Time.Add(-max(0, c.Age)).UTC(), Hash: c.Hash,
		Attempts: max(0, c.Attempts), Crashes: max(0, c.Crashes), History: slices.Clone(c.History), Note: c.Note,
	}
	if p == dedupe.PhaseDeadLettering {
		e.row.Reason, e.row.Letter = dedupe.TrimReason(c.Reason, dedupe.MaxReason), c.Letter
	}
	return e
}

type settleChange struct {
	ownedClaim
	settlement *dedupe.Settlement
}

func (c *settleChange) decideRow(e keyEntry, now serverclock.Instant) *keyRow {
	outcome := c.settlement.Outcome
	e = c.rowOrClaim(e, now, outcome.From())
	if !e.ownedBy(c.claim.Nonce) {
		return c.endUnchanged(false)
	}
	switch phase := e.row.Phase; {
	case phase == outcome.From():
		return c.settledRow(e.nextRow())
	case phase == dedupe.PhaseDeadLettering && outcome == dedupe.GivenUp:
		// Repeated: its owner counts the lease from now.
		return e.renewedRow(c.settlement.Lease, c.settlement.TTL)
	}
	return c.endUnchanged(outcome.HasLedTo(e.row.Phase))
}

func (c *settleChange) settledRow(next *keyRow) *keyRow {
	s := c.settlement
	next.Phase, next.Span, next.TTL = s.Outcome.To(), 0, s.TTL
	if !dedupe.HasAttempt(next.History, s.Attempt) {
		next.History = dedupe.AppendAttempt(next.History, s.Attempt)
		if s.AddsAttempt() {
			next.Attempts++
		}
	}
	switch s.Outcome {
	case dedupe.Failed, dedupe.NotBegun:
		next.Span = s.After
	case dedupe.GivenUp:
		next.Span, next.Letter = s.Lease, s.Letter
		next.Reason = dedupe.TrimReason(s.Reason, dedupe.MaxReason)
	case dedupe.Succeeded, dedupe.DeadLettered:
	}
	return next
}

type extendChange struct {
	ownedClaim
	lease, ttl time.Duration
}

func (c *extendChange) decideRow(e keyEntry, now serverclock.Instant) *keyRow {
	as := dedupe.PhaseClaimed
	if c.claim.State == dedupe.DeadLettering {
		as = dedupe.PhaseDeadLettering
	}
	e = c.rowOrClaim(e, now, as)
	if !e.ownedBy(c.claim.Nonce) || !e.row.Phase.Leased() {
		return c.endUnchanged(false)
	}
	return e.renewedRow(c.lease, c.ttl)
}
