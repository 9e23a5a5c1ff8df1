package projector

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc"
)

// ReduceFunc returns the key of the document that an event changes, and the change, as
// mongodoc.Updater.UpdateOnce takes it; an empty key changes nothing. Like a Func it must depend on
// the event alone.
type ReduceFunc func(e bus.Event) (key string, update any, err error)

// NewReduction returns a projection whose documents are each of all events of their key: an event
// changes what is there, such as a balance, and mongodoc sees to it that it does so once. It may
// change a document in any order relative to others, so its changes are to commute, as $inc does,
// or the group is to order events by key in partitions (consumer.Partitions). markTTL is that of
// the group's marks; zero is the default of UpdateOptions.
func NewReduction(u *mongodoc.Updater, coll *driver.Collection, reduce ReduceFunc, markTTL time.Duration) (*Projection, error) {
	if u == nil || reduce == nil {
		return nil, errors.New("projector: a reduction needs the updater, and the function that makes changes of events")
	}
	return newProjection(coll, &reduction{updater: u, reduce: reduce, markTTL: markTTL})
}

// reduction makes documents that are of many events.
type reduction struct {
	updater *mongodoc.Updater
	reduce  ReduceFunc
	markTTL time.Duration
}

func (r *reduction) plan(it *item) (err error) {
	it.change.key, it.update, err = r.reduce(it.event)
	return err
}

func (r *reduction) prepare(context.Context, *driver.Collection) error { return nil }

// write changes one document after the other, in the order of the items.
func (r *reduction) write(_ context.Context, coll *driver.Collection, items []*item) (s Stats, err error) {
	for _, it := range items {
		out, err := r.updater.UpdateOnce(it.ctx, coll, expr.Op("_id", it.change.key), it.update,
			&mongodoc.UpdateOptions{Key: it.key, Upsert: true, TTL: r.markTTL})
		switch {
		case err != nil && blamesServer(it.ctx, err):
			it.err = consumer.Unavailable(err)
		case err != nil:
			it.err = err
		case out.Before:
			s.Stale++
		default:
			s.Applied++
		}
		if it.err != nil {
			it.err = fmt.Errorf("change the document %.128q: %w", it.change.key, it.err)
		}
	}
	return s, nil
}
