package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

const (
	// probePrefix begins no key's _id: a percent sign in a key is encoded.
	probePrefix = "%probe::"
	// probeTTL removes what the server kept of a probe, should it not let us.
	probeTTL = time.Minute
)

var (
	// errKept: the server has answered OK to a transaction, and made none.
	errKept = errors.New("the server kept a write whose transaction was aborted")
	// errLeaked: it undoes what is aborted, and isolates nothing.
	errLeaked = errors.New("the server showed others a write whose transaction was not committed")
)

// ProbeTransactions implements [dedupe.Transactor]: it inserts a document of its own, makes sure
// that nobody else sees it, aborts, and makes sure that it is not there. A server that has kept it
// is asked to delete it, which takes the privilege remove; the TTL index does otherwise.
func (s *Store) ProbeTransactions(ctx context.Context) error {
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	if err := s.runProbe(ctx); err != nil {
		return s.callFailed("probe transactions", fmt.Errorf("%w: %w. Use a replica set or a sharded cluster of MongoDB; "+
			"changes of one document need neither a transaction nor this mode", dedupe.ErrNoTransactions, err))
	}
	return nil
}

func (s *Store) runProbe(ctx context.Context) error {
	at, err := s.clock.Read(ctx)
	if err != nil {
		return err
	}
	sess, err := s.own.Database().Client().StartSession()
	if err != nil {
		return err
	}
	defer endSession(ctx, sess)
	if err := startTransaction(sess); err != nil {
		return err
	}
	local := mongoserver.Own(s.own, readconcern.Local(), s.concern) // which sees whatever there is
	id := probePrefix + bson.NewObjectID().Hex()
	_, err = s.own.InsertOne(driver.NewSessionContext(ctx, sess), bson.D{expr.Field("_id", id), expr.Field("expireAt", at.Until(probeTTL))})
	leaked, leakErr := readRows(ctx, local, []string{id})
	s.abortTransaction(ctx, sess)
	kept, keptErr := readRows(ctx, local, []string{id})
	err = errors.Join(err, leakErr, keptErr)
	switch {
	case len(kept) > 0:
		_, undone := s.own.DeleteOne(ctx, bson.D{expr.Field("_id", id)})
		return errors.Join(errKept, err, undone)
	case len(leaked) > 0:
		return errors.Join(errLeaked, err)
	}
	return err
}
