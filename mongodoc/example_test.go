package mongodoc_test

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/mongodoc"
)

// An invoice counts each payment once, and tells of it, on any MongoDB-compatible server.
func ExampleUpdater_UpdateOnce() { //nolint:testableexamples // it takes a server
	count := func(ctx context.Context, b bus.Bus, db *driver.Database) (*consumer.Subscription, error) {
		store, err := mongodedupe.New(ctx, db.Collection("dedupe"), nil)
		if err != nil {
			return nil, err
		}
		docs, err := mongodoc.New(store, nil)
		if err != nil {
			return nil, err
		}
		invoices := db.Collection("invoices")
		type payment struct {
			Invoice string
			Cents   int
		}
		add := consumer.JSON(func(ctx context.Context, _ bus.Event, p payment) error { // ctx tells which event this is
			_, err := docs.UpdateOnce(ctx, invoices,
				bson.D{{Key: "_id", Value: p.Invoice}},
				bson.D{{Key: "$inc", Value: bson.D{{Key: "paid", Value: p.Cents}}}},
				&mongodoc.UpdateOptions{Publish: []bus.Event{{Topic: "invoice.paid", Key: p.Invoice}}})
			return err
		})
		return consumer.SubscribeExactlyOnce(ctx, b, "payment.received", "invoices", store, add, nil)
	}
	_ = count
}
