package ledger

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver"
)

// Registry is the collection, in the database of the documents, that names the collections in which
// events may wait: {_id: name}. A collection is in it before the first event waits there.
const Registry = "onceish.waiting"

// Enter names a collection in the registry, which may have it already.
func Enter(ctx context.Context, registry *mongo.Collection, name string) error {
	_, err := registry.InsertOne(ctx, bson.D{{Key: "_id", Value: name}})
	we, ok := errors.AsType[mongo.WriteException](err)
	if ok && we.WriteConcernError == nil && len(we.WriteErrors) == 1 && mongoserver.Duplicate(we.WriteErrors[0]) {
		return nil
	}
	return err
}

// Index has the documents in which events wait, and no others.
func Index() mongo.IndexModel {
	return mongo.IndexModel{
		Keys:    bson.D{{Key: Waits, Value: 1}, {Key: "_id", Value: 1}},
		Options: options.Index().SetName(Field).SetPartialFilterExpression(bson.D{{Key: Waits, Value: true}}),
	}
}
