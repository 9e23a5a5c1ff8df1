package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
)

// Reopen implements [dedupe.Reopener], in one round trip. The owner is forgotten as well: who was burying the event settles
// nothing any more. The age starts anew with the next claim; the TTL runs on.
func (s *Store) Reopen(ctx context.Context, keys []dedupe.Key) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	for from := 0; from < len(keys); from += maxBatch {
		c := &change{states: []string{dying, dead}, update: reopened()}
		for _, k := range keys[from:min(from+maxBatch, len(keys))] {
			c.ids = append(c.ids, keyID(k))
		}
		at, err := s.clock.Read(ctx)
		if err != nil {
			return s.failed("reopen", err)
		}
		_, turned, err := s.write(ctx, []driver.WriteModel{c.model(at)})
		if err == nil && len(turned) > 0 {
			err = turned[0].WriteError
		}
		if err != nil {
			return s.failed("reopen", err)
		}
	}
	return nil
}

func reopened() bson.A {
	return bson.A{
		set(field("state", free), field("owner", ""), field("lease_until", now),
			field("attempts", int32(0)), field("crashes", int32(0))),
		unset("hash", "since", "reason", "letter"),
	}
}
