package memory

import (
	"context"
	"strings"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Note implements dedupe.Noter.
func (s *Store) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	if err := contextError(ctx, "note"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(ns, func(n *dedupe.Note) dedupe.Key { return n.Claim.Key })
	errs := make([]error, len(ns))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	for i := range ns {
		if errs[i] = dedupe.CheckNote(ns[i].Text); errs[i] != nil {
			continue
		}
		slot, err := s.extendRow(ids[i], &ns[i].Claim, lease, ttl, now)
		if errs[i] = err; err == nil {
			s.table.extraOf(slot).note = strings.Clone(ns[i].Text)
		}
	}
	s.table.sweepSome(now)
	return errs, nil
}
