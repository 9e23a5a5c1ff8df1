package ledger

import (
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Registry is the collection, in the database of the documents, that names the collections in which events may wait: {_id: name}. A
// collection is in it before the first event waits there.
const Registry = "onceish.waiting"

// Index has the documents in which events wait, and no others.
func Index() mongo.IndexModel {
	return mongo.IndexModel{
		Keys:    bson.D{{Key: Waits, Value: 1}, {Key: "_id", Value: 1}},
		Options: options.Index().SetName(Field).SetPartialFilterExpression(bson.D{{Key: Waits, Value: true}}),
	}
}
