package mongo_test

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
)

// Two documents change with the mark of the event, or neither does. It takes a replica set.
func ExampleStore_Transact() { //nolint:testableexamples // it takes a replica set
	transfer := func(ctx context.Context, b bus.Bus, db *driver.Database) (*consumer.Subscription, error) {
		store, err := mongodedupe.New(ctx, db.Collection("dedupe"), nil)
		if err != nil {
			return nil, err
		}
		accounts := db.Collection("accounts")
		type order struct {
			From, To string
			Cents    int
		}
		move := consumer.JSON(func(ctx context.Context, _ bus.Event, o order) error { // ctx carries the transaction
			for account, cents := range map[string]int{o.From: -o.Cents, o.To: o.Cents} {
				if _, err := accounts.UpdateByID(ctx, account, bson.D{{Key: "$inc", Value: bson.D{{Key: "cents", Value: cents}}}}); err != nil {
					return fmt.Errorf("account %s: %w", account, err)
				}
			}
			return nil
		})
		return consumer.SubscribeExactlyOnce(ctx, b, "transfer.ordered", "ledger", store, move, &consumer.Options{Mode: consumer.Transactional})
	}
	_ = transfer
}
