package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
)

// servers are where the service keeps what it must not forget.
type servers struct {
	NATS string
	// Mongo is a URI. Empty: marks are kept in NATS.
	Mongo, Database string
}

// store opens the store of marks: a collection in MongoDB, or a key-value bucket in NATS.
func (at servers) store(ctx context.Context, nc *nats.Conn) (store dedupe.Store, closing func(), err error) {
	if at.Mongo == "" {
		s, err := kvdedupe.New(ctx, nc, nil)
		if err != nil {
			return nil, nil, err
		}
		return s, func() { _ = s.Close() }, nil // it keeps nothing back
	}
	client, err := mongo.Connect(options.Client().SetServerSelectionTimeout(5 * time.Second).ApplyURI(at.Mongo))
	if err != nil {
		return nil, nil, err
	}
	closing = func() { _ = client.Disconnect(context.Background()) } // nothing uses it any more
	s, err := mongodedupe.New(ctx, client.Database(at.Database).Collection("dedupe"), nil)
	if err != nil {
		closing()
		return nil, nil, err
	}
	return s, closing, nil
}
