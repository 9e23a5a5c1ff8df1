package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
)

const (
	// probePrefix begins no key's _id: a percent sign in a key is encoded.
	probePrefix = "%probe::"
	// probeTTL removes what the server kept of a probe, should it not let us.
	probeTTL = time.Minute
)

// errKept: the server has answered OK to a transaction, and made none.
var errKept = errors.New("the server kept a write whose transaction was aborted")

// ProbeTransactions implements [dedupe.Transactor]: it inserts a document of its own, aborts, and makes sure that it is not there. A
// server that has kept it is asked to delete it, which takes the privilege remove; the TTL index does otherwise.
func (s *Store) ProbeTransactions(ctx context.Context) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	if err := s.probe(ctx); err != nil {
		return s.failed("probe transactions", fmt.Errorf("%w: %w. Use a replica set or a sharded cluster of MongoDB; "+
			"changes of one document need neither a transaction nor this mode", dedupe.ErrNoTransactions, err))
	}
	return nil
}

func (s *Store) probe(ctx context.Context) error {
	at, err := s.clock.Read(ctx)
	if err != nil {
		return err
	}
	sess, err := s.startTransaction()
	if err != nil {
		return err
	}
	defer end(ctx, sess)
	id := probePrefix + bson.NewObjectID().Hex()
	_, err = s.own.InsertOne(driver.NewSessionContext(ctx, sess), bson.D{field("_id", id), field("expireAt", at.Until(probeTTL))})
	s.abort(ctx, sess)
	kept, readErr := read(ctx, s.acked, []string{id})
	if err = errors.Join(err, readErr); err != nil || len(kept) == 0 {
		return err
	}
	_, err = s.own.DeleteOne(ctx, bson.D{field("_id", id)})
	return errors.Join(errKept, err)
}
