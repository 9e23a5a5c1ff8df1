package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// Extend implements [dedupe.Claimer]. It costs one round trip, and another when the server counts
// fewer rows than there are claims.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	if lease <= 0 || ttl <= lease {
		return nil, fmt.Errorf("dedupe/mongo: extend: the lease is %v and the TTL %v; both must be positive, and the TTL the longer one", lease, ttl)
	}
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	errs := make([]error, len(cs))
	for from := 0; from < len(cs); from += maxBatch {
		to := min(from+maxBatch, len(cs))
		if err := s.extendBatch(ctx, cs[from:to], errs[from:to], lease, ttl); err != nil {
			return nil, s.callFailed("extend", err)
		}
	}
	return errs, nil
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
	matched, err := s.applyChanges(ctx, []*rowChange{c}, errs)
	if err != nil || matched == len(cs) {
		return err
	}
	rows, err := readRows(ctx, s.own, c.ids)
	if err != nil {
		return err
	}
	var gone []*lostRow
	for i := range cs {
		switch r := rows[c.ids[i]]; {
		case errs[i] != nil:
		case r.isAbsent() && cs[i].Nonce != "":
			gone = append(gone, &lostRow{item: i, id: c.ids[i], expired: r, owner: cs[i].Nonce, document: leasedRow(&cs[i], c.ids[i], r, lease, ttl)})
		case !r.leasedBy(cs[i].Nonce):
			errs[i] = dedupe.ErrSuperseded
		}
	}
	back, err := s.restoreRows(ctx, gone, errs)
	for _, l := range back {
		switch {
		case l.foundRow.isAbsent():
			errs[l.item] = errUncounted
		case !l.foundRow.leasedBy(l.owner):
			errs[l.item] = dedupe.ErrSuperseded
		}
	}
	return err
}
