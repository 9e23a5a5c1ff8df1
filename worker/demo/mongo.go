package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/internal/redact"
)

const (
	defaultDatabase = "onceish"
	// answerTimeout is how long a server may take to answer at the start and at the end.
	answerTimeout = 5 * time.Second
)

// connectMongo makes sure that the server answers. Its errors show no credentials.
func connectMongo(ctx context.Context, uri, name string) (*mongo.Client, *mongo.Collection, error) {
	parsed, err := connstring.ParseAndValidate(uri)
	if failed, ok := errors.AsType[*net.DNSError](err); ok { // it may be there tomorrow
		return nil, nil, fmt.Errorf("connect to MongoDB at %s (--mongo, MONGODB_URI): look its servers up in DNS: %s", redact.URL(uri), failed.Err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the MongoDB URI (--mongo, MONGODB_URI) cannot be read: write mongodb://host:27017/database, "+
			"and percent-encode what is special in a user name or password", worker.ErrUsage)
	}
	client, err := mongo.Connect(options.Client().SetServerSelectionTimeout(answerTimeout).SetConnectTimeout(answerTimeout).SetAppName(name).ApplyURI(uri))
	if err == nil {
		if err = client.Ping(ctx, nil); err != nil {
			err = errors.Join(err, disconnectClient(client))
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("connect to MongoDB at %s (--mongo, MONGODB_URI): %w: does a server run there, and may this user connect?", redact.URL(uri), err)
	}
	return client, client.Database(firstNonZero(parsed.Database, defaultDatabase)).Collection(name), nil
}

func disconnectClient(client *mongo.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return client.Disconnect(ctx)
}
