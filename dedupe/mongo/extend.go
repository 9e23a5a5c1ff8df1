package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
)

// Extend implements [dedupe.Claimer]. It costs one round trip, and another when the server counts fewer rows than there are
// claims.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]bool, error) {
	if lease <= 0 || ttl <= lease {
		return nil, fmt.Errorf("dedupe/mongo: extend: the lease is %v and the TTL %v; both must be positive, and the TTL the longer one", lease, ttl)
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	out := make([]bool, 0, len(cs))
	for from := 0; from < len(cs); from += maxBatch {
		some, err := s.extendBatch(ctx, cs[from:min(from+maxBatch, len(cs))], lease, ttl)
		if err != nil {
			return nil, s.failed("extend", err)
		}
		out = append(out, some...)
	}
	return out, nil
}

func (s *Store) extendBatch(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]bool, error) {
	c := &change{
		states: []string{claimed, dying},
		update: bson.A{set(field("lease_until", nowPlus(lease)), field("expireAt", nowPlus(ttl)))},
	}
	for i := range cs {
		c.ids, c.owners = append(c.ids, keyID(cs[i].Key)), append(c.owners, cs[i].Nonce)
	}
	at, err := s.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	res, turned, err := s.write(ctx, []driver.WriteModel{c.model(at)})
	if err == nil && len(turned) > 0 {
		err = turned[0].WriteError
	}
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(cs))
	var rows map[string]*row
	if int(res.MatchedCount) < len(cs) {
		if rows, err = read(ctx, s.own, c.ids); err != nil {
			return nil, err
		}
	}
	for i := range cs {
		out[i] = rows == nil || rows[c.ids[i]].leasedBy(cs[i].Nonce)
	}
	return out, nil
}
