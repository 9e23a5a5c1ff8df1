package main

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/mongodoc"
)

// errOther is returned for an order whose id another order has.
var errOther = errors.New("there is another order with this id")

// book is where orders are kept.
type book struct {
	once   *mongodoc.Updater
	orders *mongo.Collection
}

// place writes an order, with the event that it was placed. It says whether it was placed now,
// and not before.
func (b *book) place(ctx context.Context, o order) (now bool, err error) {
	event, err := o.event(orderPlaced)
	if err != nil {
		return false, err
	}
	set := bson.D{{Key: "customer", Value: o.Customer}, {Key: "cents", Value: o.Cents}}
	u, err := b.once.UpdateOnce(ctx, b.orders, byID(o.ID), bson.D{{Key: "$set", Value: set}},
		&mongodoc.UpdateOptions{Key: requestFor(o.ID), Upsert: true, Publish: []bus.Event{event}})
	if err != nil || !u.Before {
		return err == nil, err
	}
	there, err := b.find(ctx, o.ID)
	if err == nil && there != o {
		err = errOther
	}
	return false, err
}

// cancel notes that an order is cancelled, with the event.
func (b *book) cancel(ctx context.Context, id string) error {
	o, err := b.find(ctx, id)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return mongodoc.ErrNoMatch
	}
	if err != nil {
		return err
	}
	event, err := o.event(orderCancelled)
	if err != nil {
		return err
	}
	_, err = b.once.UpdateOnce(ctx, b.orders, byID(id), bson.D{{Key: "$set", Value: bson.D{{Key: "cancelled", Value: true}}}},
		&mongodoc.UpdateOptions{Key: requestFor(id), Step: "cancel", Publish: []bus.Event{event}})
	return err
}

func (b *book) find(ctx context.Context, id string) (o order, err error) {
	err = b.orders.FindOne(ctx, byID(id)).Decode(&o)
	return o, err
}

// requestFor is what a request is known by: it comes from no event, and has the id that the
// customer chose. Its marks stay for as long as the order, for only documents with a hundred
// changes and more are rid of old ones.
func requestFor(id string) dedupe.Key {
	return dedupe.Key{Topic: "http.orders", Group: "service", ID: id}
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
