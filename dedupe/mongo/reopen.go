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
	return inBatches(ctx, s, "reopen", keys, func(ctx context.Context, keys []dedupe.Key, errs []error) error {
		c := &rowChange{phases: []dedupe.Phase{dedupe.PhaseDeadLettering, dedupe.PhaseDead}, update: reopenUpdate()}
		for i, k := range keys {
			c.addRow(i, keyID(k))
		}
		_, err := s.applyChanges(ctx, []*rowChange{c}, errs)
		return err
	})
}

func reopenUpdate() bson.A {
	return bson.A{
		expr.Set(expr.Field("state", dedupe.PhaseFree.String()), expr.Field("owner", ""), expr.Field("lease_until", expr.Now),
			expr.Field("attempts", int32(0)), expr.Field("crashes", int32(0))),
		expr.Unset("hash", "since", "reason", "letter", "note"),
	}
}
