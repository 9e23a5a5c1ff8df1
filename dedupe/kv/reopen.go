package kv

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// Reopen implements dedupe.Reopener. Age starts again with the next claim; the key is kept for its
// last TTL from now on.
func (s *Store) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	defer cancel()
	errs := make([]error, len(keys))
	changes := make([]reopening, len(keys))
	turns := make([]turn, len(keys))
	for i, k := range keys {
		changes[i].err = &errs[i]
		turns[i] = turn{key: eventKey(k), change: &changes[i]}
	}
	if err := s.converge(ctx, turns); err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	return errs, nil
}

type reopening struct{ err *error }

func (c *reopening) decide(e entry, now serverclock.Instant) *row {
	*c.err = e.err
	e = e.at(now.Earliest())
	if e.row == nil || e.row.Phase != dedupe.PhaseDeadLettering && e.row.Phase != dedupe.PhaseDead {
		return nil
	}
	return &row{Phase: dedupe.PhaseFree, TTL: e.row.TTL}
}

func (c *reopening) kept(entry) {}

func (c *reopening) tighten() bool { return false }

func (c *reopening) failed(err error) { *c.err = err }
