package mongo

import (
	"context"

	"github.com/onceish/onceish/dedupe"
)

// Inspect implements [dedupe.Inspector], in one round trip.
func (s *Store) Inspect(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
	return inBatches(ctx, s, "inspect", keys, func(ctx context.Context, keys []dedupe.Key, entries []dedupe.Entry) error {
		ids := mapEach(keys, keyID)
		rows, err := readRows(ctx, s.acked, ids)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if r := rows[id]; !r.isAbsent() {
				entries[i] = r.toEntry()
			}
		}
		return nil
	})
}

// toEntry is of a row that is not expired.
func (r *storedRow) toEntry() dedupe.Entry {
	if !r.isKnown() {
		return dedupe.Entry{Err: r.unknownState()}
	}
	e := dedupe.Entry{
		Phase: r.phase, Owner: r.owner, Token: uint64(max(0, r.token)), Age: r.claimAge(), ExpiresIn: fromMillis(r.expire - r.now),
		Hash: r.hash, Attempts: int(r.attempts), Crashes: int(r.crashes), History: readHistory(r.history), Note: r.note,
	}
	if r.phase.Leased() || r.phase == dedupe.PhaseFree {
		e.HeldFor = r.timeLeft()
	}
	if r.phase == dedupe.PhaseDeadLettering {
		e.Reason, e.Letter = r.reason, r.letter
	}
	return e
}
