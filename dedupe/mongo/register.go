package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/ledger"
	"github.com/onceish/onceish/internal/mongoserver"
)

// register makes sure, once while the store lives, that events which wait in the collection will be found: before the first of them waits.
func (s *Store) register(ctx context.Context, coll *driver.Collection) error {
	in := placeOf(coll)
	s.assured.mu.Lock()
	there := s.assured.waiting[in]
	s.assured.mu.Unlock()
	if there {
		return nil
	}
	if _, err := coll.Indexes().CreateOne(ctx, ledger.Index()); err != nil {
		return fmt.Errorf("making the index %s of %v, by which documents with events that wait are found; where this user may not, have it made: "+
			`createIndex({"%s": 1, _id: 1}, {name: "%s", partialFilterExpression: {"%s": true}}): %w`, ledger.Field, in, ledger.Waits, ledger.Field, ledger.Waits, err)
	}
	registry := coll.Database().Collection(ledger.Registry, options.Collection().SetWriteConcern(writeconcern.Majority()))
	if err := enter(ctx, registry, coll.Name()); err != nil {
		return fmt.Errorf("naming %v in %s.%s: %w", in, in.database, ledger.Registry, err)
	}
	s.assured.mu.Lock()
	defer s.assured.mu.Unlock()
	s.assured.waiting[in] = true
	return nil
}

func enter(ctx context.Context, registry *driver.Collection, name string) error {
	_, err := registry.InsertOne(ctx, bson.D{field("_id", name)})
	if we, ok := errors.AsType[driver.WriteException](err); ok && we.WriteConcernError == nil && len(we.WriteErrors) == 1 && mongoserver.Duplicate(we.WriteErrors[0]) {
		return nil
	}
	return err
}
