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
	client *mongo.Client // nil: the connections' own
}

// OutboxAdmin returns the outbox in a collection beside the marks, for who looks after it. Empty:
// OutboxCollection. ConnectOptions.Namespace is a part of its name. Where there is none it makes
// none: that is ErrNoOutbox, also where marks are kept elsewhere than in MongoDB. It blocks for a
// few round trips, and needs no closing.
func (c *Connections) OutboxAdmin(ctx context.Context, collection string) (*OutboxAdmin, error) {
	collection = InNamespace(c.o.Namespace, cmp.Or(collection, OutboxCollection))
	db, err := c.OpenDatabase(ctx)
	if err != nil {
		return nil, err
	}
	if db == nil {
		return nil, fmt.Errorf("%w %q: an outbox needs a MongoDB: set --mongo or MONGODB_URI", ErrNoOutbox, collection)
	}
	a := &OutboxAdmin{name: redact.URL(c.o.Store) + " " + db.Name() + "." + collection}
	q, err := openExisting(ctx, db, collection)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.name, err)
	}
	a.Admin = q
	return a, nil
}

// OpenOutbox connects to the outbox in a collection of the database that o.Store names, a URI of
// MongoDB; of o it also takes Namespace, Name, Strict and Logger. An empty collection is
// OutboxCollection. Where there is none, it makes none: an error says so. The caller closes it.
func OpenOutbox(ctx context.Context, o *ConnectOptions, collection string) (*OutboxAdmin, error) {
	collection = InNamespace(o.Namespace, cmp.Or(collection, OutboxCollection))
	client, db, _, err := connectMongo(ctx, o, "")
	if err != nil {
		return nil, err
	}
	a := &OutboxAdmin{name: redact.URL(o.Store) + " " + db.Name() + "." + collection, client: client}
	q, err := openExisting(ctx, db, collection)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", a.name, err), a.Close()) //nolint:contextcheck // closing does not depend on it
	}
	a.Admin = q
	return a, nil
}

// openExisting opens an outbox that is there.
func openExisting(ctx context.Context, db *mongo.Database, collection string) (*mongooutbox.Queue, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*startTimeout)
	defer cancel()
	exists, err := hasOutbox(ctx, db, collection)
	if err != nil {
		return nil, fmt.Errorf("look for the outbox: %w", err)
	}
	if !exists {
		return nil, fmt.Errorf("%w: %w: name the database in the URI (mongodb://host/DATABASE), and the collection if it is not %q",
			ErrUsage, ErrNoOutbox, OutboxCollection)
	}
	return openOutbox(ctx, db, collection, nil)
}

// hasOutbox reports whether a collection is an outbox: it has its partitions beside it, or at least
// its indexes, as worker provision makes it. Any other collection of the name is somebody else's.
func hasOutbox(ctx context.Context, db *mongo.Database, collection string) (bool, error) {
	names, err := db.ListCollectionNames(ctx, bson.D{{Key: "name", Value: collection + ".partitions"}})
	if err != nil || len(names) > 0 {
		return len(names) > 0, err
	}
	missing, exists, err := mongooutbox.Layout(0).Differences(ctx, db.Collection(collection))
	if errors.Is(err, mongooutbox.ErrCollection) {
		return false, nil
	}
	return exists && len(missing) == 0, err
}

// Name tells people where it is, without credentials.
func (a *OutboxAdmin) Name() string { return a.name }

// Close disconnects, if OpenOutbox connected.
func (a *OutboxAdmin) Close() error {
	if a.client == nil {
		return nil
	}
	return disconnectWithin(a.client, startTimeout)
}
