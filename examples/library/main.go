// Command library is a program that uses the library with NATS and MongoDB, and nothing of package
// worker: it connects, opens the store of marks and subscribes. It is shown in README.md.
//
//	NATS_URL=nats://localhost:4222 MONGODB_URI=mongodb://localhost:27017 go run ./examples/library
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
)

type order struct {
	Cents int `json:"cents"`
}

func charge(ctx context.Context, e bus.Event, o order) error {
	log.Printf("order %s: %d cents, under %s", e.ID, o.Cents, consumer.AttemptFrom(ctx).IdempotencyKey)
	return nil
}

// run handles orders until ctx ends. Then running handlers finish.
func run(ctx context.Context, natsURL, mongoURI, database string) error {
	nc, err := nats.Connect(natsURL, natsbus.ConnectionOptions(0)...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	provision := &natsbus.Provision{} // missing streams are made
	events, err := natsbus.New(nc, &natsbus.Options{Provision: provision})
	if err != nil {
		return err
	}
	defer events.Close()

	client, err := mongo.Connect(options.Client().ApplyURI(mongoURI))
	if err != nil {
		return fmt.Errorf("connect to MongoDB: %w", err)
	}
	defer func() { _ = client.Disconnect(context.Background()) }()
	store, err := mongodedupe.New(ctx, client.Database(database).Collection("dedupe"), nil)
	if err != nil {
		return err
	}

	handler := consumer.JSON(charge)
	sub, err := consumer.SubscribeExactlyOnce(ctx, events, "order.placed", "billing", store, handler, nil)
	if err != nil {
		return err
	}
	<-sub.Done()
	return sub.Err()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Getenv("NATS_URL"), os.Getenv("MONGODB_URI"), "shop")
	stop()
	if err != nil {
		log.Fatal(err)
	}
}
