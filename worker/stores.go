package worker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/mongodoc"
)

// storeSchemes are what marks can be kept in, by the scheme of ConnectOptions.Store.
func storeSchemes() map[string]func(_ context.Context, _ *Connections, bindOnly bool) (dedupe.Store, error) {
	mongoDB := func(ctx context.Context, c *Connections, _ bool) (dedupe.Store, error) { return c.openMongo(ctx) }
	return map[string]func(context.Context, *Connections, bool) (dedupe.Store, error){
		"mongodb":     mongoDB,
		"mongodb+srv": mongoDB,
		"nats": func(ctx context.Context, c *Connections, bindOnly bool) (dedupe.Store, error) {
			return c.openKV(ctx, bindOnly)
		},
		"memory": func(_ context.Context, c *Connections, _ bool) (dedupe.Store, error) { return c.openMemory() },
	}
}

func (c *Connections) storeScheme() string {
	scheme, _, _ := strings.Cut(cmp.Or(c.o.Store, "nats:"), ":")
	return scheme
}

// checkStore refuses a store that there is none of. The error has nothing of the URL.
func (c *Connections) checkStore() error {
	scheme := c.storeScheme()
	if _, known := storeSchemes()[scheme]; !known {
		return fmt.Errorf("%w: the URL of the store has another scheme than %s", ErrUsage, strings.Join(slices.Sorted(maps.Keys(storeSchemes())), ", "))
	}
	if _, rest, _ := strings.Cut(c.o.Store, ":"); rest != "" && !c.hasMongo() {
		return fmt.Errorf("%w: the URL of the store is %s: and more: write %[2]s: alone, for the store is where the bus is, or this process", ErrUsage, scheme)
	}
	return nil
}

// hasMongo reports whether marks are kept in MongoDB, which can have outboxes too.
func (c *Connections) hasMongo() bool {
	return c.storeScheme() == "mongodb" || c.storeScheme() == "mongodb+srv"
}

// Store connects to the dedupe store. Repeated calls return the same one.
func (c *Connections) Store(ctx context.Context) (dedupe.Store, error) {
	return c.openStore(ctx, false)
}

// existingStore is Store, but makes no bucket: where there is none it is kvdedupe.ErrNoBucket.
func (c *Connections) existingStore(ctx context.Context) (dedupe.Store, error) {
	return c.openStore(ctx, true)
}

// addTopics notes what the store is for.
func (c *Connections) addTopics(group string, handlers []handlerSpec) {
	c.opening.Lock()
	defer c.opening.Unlock()
	for _, h := range handlers {
		c.topics = append(c.topics, h.topic)
		if h.defers != nil {
			c.topics = append(c.topics, cmp.Or(cmp.Or(h.defers.Options, &deferral.Options{}).Topic, "deferred."+group))
		}
	}
}

func (c *Connections) openStore(ctx context.Context, bindOnly bool) (_ dedupe.Store, err error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.store != nil {
		return c.store, nil
	}
	c.store, err = storeSchemes()[c.storeScheme()](ctx, c, bindOnly)
	return c.store, err
}

func (c *Connections) openMongo(ctx context.Context) (dedupe.Store, error) {
	db, err := c.openDatabase(ctx)
	if err != nil {
		return nil, err
	}
	coll := db.Collection(InNamespace(c.o.Namespace, MarksCollection))
	c.storeName = redact.URL(c.o.Store) + " " + coll.Database().Name() + "." + coll.Name()
	s, err := mongodedupe.New(ctx, coll, &mongodedupe.Options{Logger: c.log})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Documents changes documents once for each event, where marks are kept in MongoDB. Elsewhere it is
// an error.
func (c *Connections) Documents(ctx context.Context) (*mongodoc.Updater, error) {
	store, err := c.Store(ctx)
	if err != nil {
		return nil, err
	}
	if s, ok := store.(*mongodedupe.Store); ok {
		return mongodoc.New(s, &mongodoc.Options{Waiting: c.notifyOutboxes, Headers: c.contextHeaders})
	}
	return nil, fmt.Errorf("%w: documents can be changed once where marks are kept in MongoDB: set --mongo or MONGODB_URI", ErrUsage)
}

// openDatabase connects to MongoDB, once. The caller holds opening.
func (c *Connections) openDatabase(ctx context.Context) (*mongo.Database, error) {
	if c.database != nil {
		return c.database, nil
	}
	client, db, named, err := connectMongo(ctx, &c.o, " Without a URI marks are kept in NATS")
	if err != nil {
		return nil, err
	}
	if !named {
		c.log.Warn("the MongoDB URI names no database, so the default one is used: whoever else forgets to name one shares its marks; "+
			"name it, mongodb://host/DATABASE, also if it is to be this one", "database", db.Name())
	}
	c.mongo, c.database = client, db
	c.closers = append(c.closers, func() error { return disconnectWithin(client, c.timeToClose()) })
	return db, nil
}

func (c *Connections) openKV(ctx context.Context, bindOnly bool) (dedupe.Store, error) {
	o := &kvdedupe.Options{
		Bucket: cmp.Or(c.o.Bucket, kvdedupe.DefaultBucket), Replicas: c.o.Replicas, BindOnly: bindOnly, Topics: c.topics, Logger: c.log,
		Domain: c.o.Bus.Domain, APIPrefix: c.o.Bus.APIPrefix,
	}
	s, err := kvdedupe.New(ctx, c.nats, o)
	if err != nil {
		return nil, fmt.Errorf("keep marks on the NATS server %s: %w", c.busName, err)
	}
	c.closers = append(c.closers, s.Close)
	c.storeName = "nats-kv " + o.Bucket
	c.log.Info("no MongoDB URI: marks are kept in a key-value bucket of the NATS server", "bucket", o.Bucket)
	return s, nil
}

func (c *Connections) openMemory() (dedupe.Store, error) {
	c.storeName = "memory"
	s, err := memdedupe.New(nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}
