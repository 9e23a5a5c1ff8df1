package mongo_test

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// An order and the event that tells of it are written together, or not at all.
func ExampleQueue_Add() { //nolint:testableexamples // it takes a replica set
	place := func(ctx context.Context, orders *driver.Collection, events *mongooutbox.Queue, id string) error {
		session, err := orders.Database().Client().StartSession()
		if err != nil {
			return err
		}
		defer session.EndSession(ctx)
		_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
			if _, err := orders.InsertOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "state", Value: "placed"}}); err != nil {
				return nil, err
			}
			return events.Add(ctx, bus.Event{Topic: "order.placed", Key: id, Data: []byte(id)})
		}, options.Transaction().SetWriteConcern(writeconcern.Majority()))
		return err
	}
	_ = place
}

// Drainers, in as many processes as there are, publish what was added.
func ExampleNew() { //nolint:testableexamples // it takes a server
	drain := func(ctx context.Context, db *driver.Database, to bus.Publisher) error {
		events, err := mongooutbox.New(ctx, db.Collection("outbox"), nil)
		if err != nil {
			return err
		}
		drainer, err := outbox.NewDrainer(events, to, nil)
		if err != nil {
			return err
		}
		return drainer.Run(ctx)
	}
	_ = drain
}
