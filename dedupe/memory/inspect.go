package memory

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Inspect implements dedupe.Inspector. It names no owners: the store keeps hashes of their nonces.
func (s *Store) Inspect(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
	if err := contextError(ctx, "inspect"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(keys, func(k *dedupe.Key) dedupe.Key { return *k })
	entries := make([]dedupe.Entry, len(keys))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	for i, k := range ids {
		if r, slot := s.table.findRow(k, now); r != nil {
			entries[i] = s.newEntry(r, slot, now)
		}
	}
	return entries, nil
}

func (s *Store) newEntry(r *keyRow, slot uint32, now int64) dedupe.Entry {
	e := dedupe.Entry{
		Phase: r.phase, Token: r.token, ExpiresIn: time.Duration(r.expires - now),
		Hash: bytes.Clone(s.table.hashOf(r, slot)), Attempts: int(r.attempts), Crashes: int(r.crashes),
		History: slices.Clone(s.table.historyOf(slot)), Note: s.table.noteOf(slot),
	}
	if r.phase.Leased() || r.phase == dedupe.PhaseFree {
		e.HeldFor = time.Duration(max(r.until-now, 0))
	}
	if r.owner != 0 && r.since != reopened {
		e.Age = time.Duration(now - r.since)
	}
	if r.phase == dedupe.PhaseDeadLettering {
		x := s.table.extraOf(slot)
		e.Reason, e.Letter = x.reason, x.letter
	}
	return e
}
