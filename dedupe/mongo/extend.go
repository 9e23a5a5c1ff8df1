package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

// Extend implements [dedupe.Claimer]. It costs one round trip, and another when the server counts
// fewer rows than there are claims.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	if lease <= 0 || ttl <= lease {
		return nil, fmt.Errorf("dedupe/mongo: extend: the lease is %v and the TTL %v; both must be positive, and the TTL the longer one", lease, ttl)
	}
	return inBatches(ctx, s, "extend", cs, func(ctx context.Context, cs []dedupe.Claim, errs []error) error {
		return s.extendBatch(ctx, cs, errs, lease, ttl)
	})
}

func (s *Store) extendBatch(ctx context.Context, cs []dedupe.Claim, errs []error, lease, ttl time.Duration) error {
	c := &rowChange{
		phases: []dedupe.Phase{dedupe.PhaseClaimed, dedupe.PhaseDeadLettering},
		update: bson.A{expr.Set(expr.Field("lease_until", expr.NowPlus(lease)), expr.Field("expireAt", expr.NowPlus(ttl)))},
	}
	for i := range cs {
		c.addRow(i, keyID(cs[i].Key))
		c.owners = append(c.owners, cs[i].Nonce)
	}
	restored := func(i int, expired *storedRow) func(serverclock.Instant) bson.D {
		return leasedRow(&cs[i], c.ids[i], expired, lease, ttl)
	}
	return s.changeClaims(ctx, []*rowChange{c}, c.ids, errs, restored, func(i int, r *storedRow) error {
		return judgeLeased(cs[i].Nonce, r)
	})
}

// judgeLeased judges the renewal of a claim by its row as it is afterwards.
func judgeLeased(nonce string, r *storedRow) error {
	switch {
	case nonce != "" && r.isAbsent():
		return errUncounted
	case !r.leasedBy(nonce):
		return dedupe.ErrSuperseded
	}
	return nil
}
