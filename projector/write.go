package projector

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/mongoserver"
)

// writeTries bounds how often an upsert is repeated that lost a race against another one.
const writeTries = 20

// written is the answer to upserts, by their index.
type written struct {
	upserted map[int]bool
	failed   map[int]driver.WriteError
	modified int64
}

// writeEach writes upserts of documents by _id, in any order, all at once. One that raced with
// another of the same _id is repeated.
func writeEach(ctx context.Context, coll *driver.Collection, models []driver.WriteModel) (written, error) {
	out := written{upserted: map[int]bool{}, failed: map[int]driver.WriteError{}}
	todo := make([]int, len(models))
	for i := range todo {
		todo[i] = i
	}
	for try := 0; len(todo) > 0; try++ {
		if try == writeTries {
			return out, fmt.Errorf("%d upserts raced with others %d times", len(todo), try)
		}
		if try > 0 {
			if err := mongoserver.Pause(ctx, try-1); err != nil {
				return out, err
			}
		}
		var err error
		if todo, err = out.write(ctx, coll, models, todo); err != nil {
			return out, err
		}
	}
	return out, nil
}

// write writes some of the models once, and returns those that are to be repeated.
func (w *written) write(ctx context.Context, coll *driver.Collection, models []driver.WriteModel, todo []int) (again []int, err error) {
	now := models
	if len(todo) < len(models) {
		now = make([]driver.WriteModel, len(todo))
		for n, i := range todo {
			now[n] = models[i]
		}
	}
	res, turned, err := mongoserver.WriteEach(ctx, coll, now, false)
	if err != nil {
		return nil, err
	}
	w.modified += res.ModifiedCount
	for n := range res.UpsertedIDs {
		w.upserted[todo[n]] = true
	}
	for _, e := range turned {
		if raced(e.WriteError) {
			again = append(again, todo[e.Index])
		} else {
			w.failed[todo[e.Index]] = e.WriteError
		}
	}
	return again, nil
}

// isDuplicateIn reports whether a document is a duplicate in an index of this name on this field.
// MongoDB says which fields the index has; servers that are compatible with it name the index.
func isDuplicateIn(e driver.WriteError, index, field string) bool {
	if !mongoserver.Duplicate(e) {
		return false
	}
	if pattern, ok := e.Raw.Lookup("keyPattern").DocumentOK(); ok {
		fields, err := pattern.Elements()
		return err == nil && len(fields) > 0 && fields[0].Key() == field
	}
	return e.HasErrorMessage("'"+index+"'") || e.HasErrorMessage(`"`+index+`"`) || e.HasErrorMessage("index: "+index+" ")
}

// raced reports whether an upsert found that another one has inserted its document.
func raced(e driver.WriteError) bool {
	const lostRace = 1 // of FerretDB, which does not name the index then
	return isDuplicateIn(e, "_id_", "_id") || mongoserver.Duplicate(e) && e.Code == lostRace
}

// refusal is the error of an item whose document the server did not take.
func refusal(e driver.WriteError) error {
	switch {
	case mongoserver.Refused(e):
		return consumer.Permanent(fmt.Errorf("the server refuses the document: %w", e))
	case mongoserver.Duplicate(e):
		return consumer.Permanent(fmt.Errorf("a unique index that the projection does not know of refuses the document: name its field in Options.Unique, or drop the index: %w", e))
	}
	return e
}

// hasField is true of documents that have the field, which may be null.
func hasField(name string) bson.D {
	return bson.D{{Key: name, Value: bson.D{{Key: "$exists", Value: true}}}}
}
