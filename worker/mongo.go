package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/worker/config"
)

const defaultDatabase = "onceish"

// MarksCollection is the collection that has the marks.
const MarksCollection = config.MarksCollection

// InNamespace is the name of a collection in a namespace; see ConnectOptions.Namespace.
func InNamespace(namespace, collection string) string {
	if namespace == "" {
		return collection
	}
	return collection + "." + namespace
}

// connectMongo connects to the Store of some options, and makes sure that it answers. hint is what
// else could be done without it. named reports whether the URI names the database.
func connectMongo(ctx context.Context, co *ConnectOptions, hint string) (_ *mongo.Client, _ *mongo.Database, named bool, _ error) {
	uri := co.Store
	parsed, err := connstring.ParseAndValidate(uri)
	if failed, ok := errors.AsType[*net.DNSError](err); ok { // it may be there tomorrow
		return nil, nil, false, unreachableError(uri, hint, fmt.Errorf("look its servers up in DNS: %s", failed.Err)) // without the name, as err has it
	}
	if err != nil {
		if redact.Secret(uri) {
			err = errors.New("percent-encode what is special in the user name or password, and see its options")
		}
		return nil, nil, false, fmt.Errorf("%w: the MongoDB URI (--mongo, MONGODB_URI) cannot be read: %w", ErrUsage, err)
	}
	o := options.Client().SetServerSelectionTimeout(startTimeout).SetConnectTimeout(startTimeout).SetAppName(co.Name).ApplyURI(uri)
	if err := checkMongoEncryption(uri, parsed, o, co.plaintextPolicy(co.Logger)); err != nil {
		return nil, nil, false, err
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return nil, nil, false, unreachableError(uri, hint, err)
	}
	pinging, cancel := context.WithTimeout(ctx, 2*startTimeout)
	defer cancel()
	if err := client.Ping(pinging, nil); err != nil {
		return nil, nil, false, errors.Join(unreachableError(uri, hint, err), disconnectWithin(client, startTimeout)) //nolint:contextcheck // closing does not depend on it
	}
	db := client.Database(cmp.Or(parsed.Database, defaultDatabase))
	return client, db, parsed.Database != "", nil
}

func unreachableError(uri, hint string, err error) error {
	return fmt.Errorf("connect to MongoDB at %s (--mongo, MONGODB_URI): %w: does a server run there, and may this user connect?%s", redact.URL(uri), err, hint)
}

func disconnectWithin(client *mongo.Client, may time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), may)
	defer cancel()
	if err := client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close the MongoDB client: %w", err)
	}
	return nil
}
