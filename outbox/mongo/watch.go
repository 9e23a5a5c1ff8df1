package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// Watch implements outbox.Watcher with a change stream, which replica sets and sharded clusters
// have. Other servers answer that with an error, or not at all, which is one after Options.Timeout.
func (q *Queue) Watch(ctx context.Context, wake func()) error {
	ctx = driver.NewSessionContext(ctx, nil)
	opening, cancel := context.WithTimeout(ctx, q.timeout) // a server that does not answer this has no stream to wait for
	defer cancel()
	stream, err := q.rows.Watch(opening, bson.A{
		expr.Op("$match", expr.Op("$or", bson.A{
			expr.Op("operationType", expr.Op("$in", bson.A{"insert", "replace"})),
			expr.Op("updateDescription.updatedFields.status", "pending"),
		})),
		expr.Op("$project", expr.Op("_id", 1)),
	})
	if err != nil {
		return q.watchError(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.timeout)
		defer cancel()
		_ = stream.Close(ctx)
	}()
	wake() // what was added before the stream began
	for stream.Next(ctx) {
		wake()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return q.watchError(errors.Join(stream.Err(), errEnded))
}

var errEnded = errors.New("the change stream has ended")

func (q *Queue) watchError(err error) error {
	return fmt.Errorf("outbox/mongo: watch %s.%s: %w", q.rows.Database().Name(), q.rows.Name(), err)
}
