package memory

import (
	"context"
	"math"

	"github.com/onceish/onceish/dedupe"
)

// reopened stands for the time of the first claim that is still to come.
const reopened = math.MinInt64

// Reopen implements dedupe.Reopener. Age starts again with the next claim; the TTL runs on.
func (s *Store) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	if err := contextError(ctx, "reopen"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	for _, k := range keys {
		r, slot := s.table.findRow(keyIDOf(k), now)
		if r == nil || r.phase != dedupe.PhaseDeadLettering && r.phase != dedupe.PhaseDead {
			continue
		}
		if history := s.table.historyOf(slot); history != nil {
			s.table.extras[slot] = &rowExtra{history: history}
		} else {
			delete(s.table.extras, slot)
		}
		*r = keyRow{id: r.id, token: r.token, expires: r.expires, phase: dedupe.PhaseFree, since: reopened, until: now}
	}
	return make([]error, len(keys)), nil
}
