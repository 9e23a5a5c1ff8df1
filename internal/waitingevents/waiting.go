// Package waitingevents finds the documents in which events wait to be moved into an outbox: by a
// registry of their collections, and an index in each of them.
package waitingevents

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

const (
	// Field is the reserved field of documents in which events may wait, and the name of the index.
	Field = "_onceish"
	// Flag is true in the documents in which events wait, and absent in others.
	Flag = Field + ".waits"
	// Registry is the collection, in the database of the documents, that names the collections in
	// which events may wait: {_id: name}. A collection is in it before the first event waits there.
	Registry = "onceish.waiting"
)

// Index has the documents in which events wait, and no others.
func Index() mongo.IndexModel {
	return mongo.IndexModel{
		Keys:    bson.D{expr.Field(Flag, 1), expr.Field("_id", 1)},
		Options: options.Index().SetName(Field).SetPartialFilterExpression(expr.Op(Flag, true)),
	}
}

// Enter names a collection in the registry, which may have it already.
func Enter(ctx context.Context, registry *mongo.Collection, name string) error {
	_, err := registry.InsertOne(ctx, expr.Op("_id", name))
	if mongoserver.DuplicateError(err) {
		return nil
	}
	return err
}

// Collections returns the names in the registry of a database.
func Collections(ctx context.Context, db *mongo.Database) ([]string, error) {
	cur, err := Own(db.Collection(Registry)).Find(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	var all []struct {
		ID string `bson:"_id"`
	}
	if err := cur.All(ctx, &all); err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].ID
	}
	return names, nil
}

// Count returns how many documents of a database have events that wait.
func Count(ctx context.Context, db *mongo.Database) (n int, err error) {
	names, err := Collections(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", Registry, err)
	}
	for _, name := range names {
		waiting, err := Own(db.Collection(name)).CountDocuments(ctx, expr.Op(Flag, true))
		if err != nil {
			return 0, fmt.Errorf("events that wait in %s: %w", name, err)
		}
		n += int(waiting)
	}
	return n, nil
}

// Own returns a collection with the concerns by which events are moved, whatever those of its
// client are.
func Own(coll *mongo.Collection) *mongo.Collection {
	return mongoserver.Own(coll, readconcern.Majority(), writeconcern.Majority())
}
