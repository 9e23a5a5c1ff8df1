package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

var _ outbox.Admin = (*OutboxAdmin)(nil)

// OutboxAdmin is an outbox without a bus, for who looks after it. It is safe for concurrent use.
type OutboxAdmin struct {
	outbox.Admin

	name   string
	client *mongo.Client
}

// OpenOutbox connects to the outbox in a collection of the URI's database, or "onceish". Empty:
// OutboxCollection. Where there is none, it makes none: an error says so. name is told to the
// server. The caller closes it.
func OpenOutbox(ctx context.Context, uri, collection, name string) (*OutboxAdmin, error) {
	collection = cmp.Or(collection, OutboxCollection)
	client, db, _, err := connectMongo(ctx, uri, name, "")
	if err != nil {
		return nil, err
	}
	a := &OutboxAdmin{name: redact.URL(uri) + " " + db.Name() + "." + collection, client: client}
	q, err := openExisting(ctx, db, collection)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", a.name, err), a.Close()) //nolint:contextcheck // closing does not depend on it
	}
	a.Admin = q
	return a, nil
}

// openExisting opens an outbox that is there: it has its partitions beside it.
func openExisting(ctx context.Context, db *mongo.Database, collection string) (*mongooutbox.Queue, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*startTimeout)
	defer cancel()
	names, err := db.ListCollectionNames(ctx, bson.D{{Key: "name", Value: collection + ".partitions"}})
	if err != nil {
		return nil, fmt.Errorf("look for the outbox: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: there is no outbox: name the database in the URI (mongodb://host/DATABASE), and the collection if it is not %q",
			ErrUsage, OutboxCollection)
	}
	return openOutbox(ctx, db, collection, nil)
}

// Name tells people where it is, without credentials.
func (a *OutboxAdmin) Name() string { return a.name }

// Close disconnects.
func (a *OutboxAdmin) Close() error { return disconnectWithin(a.client, startTimeout) }
