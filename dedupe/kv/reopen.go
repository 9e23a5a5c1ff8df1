package kv

import (
	"context"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// Reopen implements dedupe.Reopener. Age starts again with the next claim; the key is kept for its
// last TTL from now on.
func (s *Store) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	errs := make([]error, len(keys))
	changes := make([]reopenChange, len(keys))
	turns := make([]casOp, len(keys))
	for i, k := range keys {
		changes[i].err = &errs[i]
		turns[i] = casOp{key: eventKey(k), change: &changes[i]}
	}
	if err := s.runOps(ctx, "reopen", turns); err != nil {
		return nil, err
	}
	return errs, nil
}

type reopenChange struct{ err *error }

func (c *reopenChange) decideRow(e keyEntry, now serverclock.Instant) *keyRow {
	*c.err = e.err
	e = e.asOf(now.Earliest())
	if e.row == nil || e.row.Phase != dedupe.PhaseDeadLettering && e.row.Phase != dedupe.PhaseDead {
		return nil
	}
	return &keyRow{Phase: dedupe.PhaseFree, TTL: e.row.TTL, History: e.row.History}
}

func (c *reopenChange) onKept(keyEntry) {}

func (c *reopenChange) onFailed(err error) { *c.err = err }
