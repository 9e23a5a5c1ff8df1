package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// Reopen implements [dedupe.Reopener], in one round trip. The owner is forgotten as well: who
// was dead-lettering the event settles nothing any more. The age starts again with the next claim;
// the TTL runs on.
func (s *Store) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	errs := make([]error, len(keys))
	for from := 0; from < len(keys); from += maxBatch {
		to := min(from+maxBatch, len(keys))
		c := &rowChange{phases: []dedupe.Phase{dedupe.PhaseDeadLettering, dedupe.PhaseDead}, update: reopenUpdate()}
		for i, k := range keys[from:to] {
			c.addRow(i, keyID(k))
		}
		if _, err := s.applyChanges(ctx, []*rowChange{c}, errs[from:to]); err != nil {
			return nil, s.callFailed("reopen", err)
		}
	}
	return errs, nil
}

func reopenUpdate() bson.A {
	return bson.A{
		expr.Set(expr.Field("state", dedupe.PhaseFree.String()), expr.Field("owner", ""), expr.Field("lease_until", expr.Now),
			expr.Field("attempts", int32(0)), expr.Field("crashes", int32(0))),
		expr.Unset("hash", "since", "reason", "letter"),
	}
}
