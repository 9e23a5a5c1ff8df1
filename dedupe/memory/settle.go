package memory

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Extend implements dedupe.Claimer, also for what is dead-lettering.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	if err := contextError(ctx, "extend"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(cs, func(c *dedupe.Claim) dedupe.Key { return c.Key })
	errs := make([]error, len(cs))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	for i := range cs {
		_, errs[i] = s.extendRow(ids[i], &cs[i], lease, ttl, now)
	}
	s.table.sweepSome(now)
	return errs, nil
}

// extendRow renews a claim, and returns the slot of its row.
func (s *Store) extendRow(k keyID, c *dedupe.Claim, lease, ttl time.Duration, now int64) (uint32, error) {
	r, slot := s.table.findRow(k, now)
	if r == nil {
		r, slot = s.restoreRow(k, c, now)
	}
	if !s.isOwner(r, c) || !r.phase.Leased() {
		return 0, dedupe.ErrSuperseded
	}
	s.setLease(r, slot, lease, ttl, now)
	return slot, nil
}

// Settle implements dedupe.Claimer.
func (s *Store) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	if err := contextError(ctx, "settle"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(ss, func(x *dedupe.Settlement) dedupe.Key { return x.Claim.Key })
	errs := make([]error, len(ss))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	for i := range ss {
		c := &ss[i].Claim
		r, slot := s.table.findRow(ids[i], now)
		if r == nil {
			if r, slot = s.restoreRow(ids[i], c, now); r != nil {
				r.phase = ss[i].Outcome.From()
			}
		}
		if !s.isOwner(r, c) || !s.settleRow(r, slot, &ss[i], now) {
			errs[i] = dedupe.ErrSuperseded
		}
	}
	s.table.sweepSome(now)
	return errs, nil
}

func (s *Store) isOwner(r *keyRow, c *dedupe.Claim) bool {
	return r != nil && r.owner == s.ownerHash(c.Nonce)
}

// restoreRow writes the row of a claim again that is gone. It does so beyond the bound too: the key
// was let in before. A claim without a nonce was none.
func (s *Store) restoreRow(k keyID, c *dedupe.Claim, now int64) (*keyRow, uint32) {
	if c.Nonce == "" {
		return nil, 0
	}
	r, slot := s.table.resetRow(k)
	r.phase, r.owner, r.token = dedupe.PhaseClaimed, s.ownerHash(c.Nonce), c.Token
	r.since = now - int64(max(c.Age, 0))
	r.attempts, r.crashes = uint32(min(max(c.Attempts, 0), math.MaxUint32)), uint16(min(max(c.Crashes, 0), math.MaxUint16))
	if c.State == dedupe.DeadLettering {
		r.phase = dedupe.PhaseDeadLettering
		e := s.table.extraOf(slot)
		e.reason, e.letter = keptReason(c.Reason), strings.Clone(c.Letter)
	}
	if len(c.History) > 0 {
		s.table.extraOf(slot).history = slices.Clone(c.History)
	}
	if c.Note != "" {
		s.table.extraOf(slot).note = strings.Clone(c.Note)
	}
	s.table.setHash(r, slot, c.Hash)
	s.tokens = max(s.tokens, c.Token)
	return r, slot
}

// settleRow changes a row that is the settlement's own.
func (s *Store) settleRow(r *keyRow, slot uint32, x *dedupe.Settlement, now int64) bool {
	if r.phase != x.Outcome.From() {
		return x.Outcome.HasLedTo(r.phase)
	}
	switch x.Outcome {
	case dedupe.Failed, dedupe.NotBegun:
		r.until = timeAfter(now, max(x.After, 0))
	case dedupe.GivenUp:
		r.until = timeAfter(now, x.Lease)
		e := s.table.extraOf(slot)
		e.reason, e.letter = keptReason(x.Reason), strings.Clone(x.Letter)
	case dedupe.DeadLettered:
		s.table.forgetLetter(slot)
	case dedupe.Succeeded:
	}
	if !dedupe.HasAttempt(s.table.historyOf(slot), x.Attempt) {
		if x.AddsAttempt() && r.attempts < math.MaxUint32 {
			r.attempts++
		}
		s.table.appendAttempt(slot, x.Attempt)
	}
	r.phase = x.Outcome.To()
	s.table.setExpiry(r, slot, timeAfter(now, x.TTL))
	return true
}

func keptReason(reason string) string {
	return strings.Clone(dedupe.TrimReason(reason, dedupe.MaxReason))
}
