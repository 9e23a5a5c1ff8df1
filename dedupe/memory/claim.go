package memory

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Claim implements dedupe.Claimer. A key that does not fit is answered with Claim.Err.
func (s *Store) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	if err := contextError(ctx, "claim"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(rs, func(q *dedupe.Request) dedupe.Key { return q.Key })
	claims := make([]dedupe.Claim, len(rs))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	room := s.newFreeRoom(now)
	for i := range rs {
		if err := cmp.Or(dedupe.CheckHash(rs[i].Hash), room.checkFits(ids[i])); err != nil {
			claims[i] = dedupe.Claim{Key: rs[i].Key, Nonce: rs[i].Nonce, Err: err}
			continue
		}
		claims[i] = s.claimKey(ids[i], &rs[i], now)
	}
	s.table.sweepSome(now)
	return claims, nil
}

func (s *Store) claimKey(k keyID, q *dedupe.Request, now int64) dedupe.Claim {
	r, slot := s.table.findRow(k, now)
	if r == nil {
		r, slot = s.table.resetRow(k)
		s.winRow(r, slot, q, now)
		return s.newClaim(r, slot, q, dedupe.Fresh, now)
	}
	mine := r.owner == s.ownerHash(q.Nonce)
	step, state := dedupe.DecideClaim(r.phase, mine, s.table.hashOf(r, slot), time.Duration(max(r.until-now, 0)), q.Hash)
	switch step {
	case dedupe.RenewClaim:
		s.setLease(r, slot, q.Lease, q.TTL, now)
	case dedupe.TakeOver:
		if r.phase == dedupe.PhaseClaimed && r.crashes < math.MaxUint16 {
			r.crashes++
		}
		s.winRow(r, slot, q, now)
	case dedupe.LeaveRow, dedupe.CreateRow:
	}
	return s.newClaim(r, slot, q, state, now)
}

func (s *Store) winRow(r *keyRow, slot uint32, q *dedupe.Request, now int64) {
	if r.phase == dedupe.PhaseAbsent || r.since == reopened {
		r.since = now
	}
	if r.phase != dedupe.PhaseDeadLettering {
		r.phase = dedupe.PhaseClaimed
	}
	if r.hashLen == 0 {
		s.table.setHash(r, slot, q.Hash)
	}
	s.tokens++
	r.token = s.tokens
	r.owner = s.ownerHash(q.Nonce)
	s.setLease(r, slot, q.Lease, q.TTL, now)
}

func (s *Store) setLease(r *keyRow, slot uint32, lease, ttl time.Duration, now int64) {
	r.until = timeAfter(now, lease)
	s.table.setExpiry(r, slot, timeAfter(now, ttl))
}

func (s *Store) newClaim(r *keyRow, slot uint32, q *dedupe.Request, state dedupe.State, now int64) dedupe.Claim {
	c := dedupe.Claim{
		Key: q.Key, Nonce: q.Nonce, State: state, Token: r.token,
		Attempts: int(r.attempts), Crashes: int(r.crashes), Note: s.table.noteOf(slot),
	}
	if r.since != reopened {
		c.Age = time.Duration(now - r.since)
	}
	switch state {
	case dedupe.Held, dedupe.Fresh, dedupe.DeadLettering:
		c.HeldFor = time.Duration(max(r.until-now, 0))
	case dedupe.Reused, dedupe.Done, dedupe.Dead:
	}
	if kept := s.table.hashOf(r, slot); bytes.Equal(kept, q.Hash) {
		c.Hash = q.Hash
	} else {
		c.Hash = bytes.Clone(kept)
	}
	if state == dedupe.Fresh || state == dedupe.DeadLettering {
		c.History = slices.Clone(s.table.historyOf(slot))
	}
	if state == dedupe.DeadLettering {
		e := s.table.extraOf(slot)
		c.Reason, c.Letter = e.reason, e.letter
	}
	return c
}
