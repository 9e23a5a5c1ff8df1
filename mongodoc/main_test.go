package mongodoc_test

import (
	"context"
	"errors"
	"flag"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.uber.org/goleak"

	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for servers, far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// patience is longer than any call takes on a loaded machine.
const patience = time.Minute

// connect opens a client that is closed when the test ends.
func connect(tb testing.TB, o *options.ClientOptions) *driver.Client {
	tb.Helper()
	client, err := driver.Connect(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := client.Disconnect(ctx); err != nil {
			tb.Errorf("closing the client: %v", err)
		}
	})
	return client
}

// collection is new and empty, and dropped when the test ends.
func collection(tb testing.TB, client *driver.Client) *driver.Collection {
	tb.Helper()
	return client.Database(mongotest.Database(tb).Name()).Collection("dedupe")
}

// openStore opens a store in a collection.
func openStore(tb testing.TB, coll *driver.Collection, o *mongodedupe.Options) *mongodedupe.Store {
	tb.Helper()
	s, err := mongodedupe.New(tb.Context(), coll, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// newUpdater makes an updater over a store in a collection.
func newUpdater(tb testing.TB, coll *driver.Collection, o *mongodoc.Options) *mongodoc.Updater {
	tb.Helper()
	u, err := mongodoc.New(openStore(tb, coll, &mongodedupe.Options{Timeout: patience}), o)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// openQueue opens an outbox with more time for calls than users give: a server that many share may
// stand still.
func openQueue(tb testing.TB, coll *driver.Collection) *mongooutbox.Queue {
	tb.Helper()
	q, err := mongooutbox.New(tb.Context(), coll, &mongooutbox.Options{Timeout: patience})
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// wired is an updater behind a proxy, the collection of its store, and the proxy. Its client does
// not retry by itself.
func wired(t *testing.T) (*mongodoc.Updater, *driver.Collection, *mongowire.Proxy) {
	t.Helper()
	return wiredWith(t, nil)
}

func wiredWith(t *testing.T, o *mongodoc.Options) (*mongodoc.Updater, *driver.Collection, *mongowire.Proxy) {
	t.Helper()
	w := mongowire.New(t, mongotest.URI(t))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	return newUpdater(t, through(t, w, coll), o), coll, w
}

// through is a collection behind the proxy.
func through(t *testing.T, w *mongowire.Proxy, coll *driver.Collection) *driver.Collection {
	t.Helper()
	client := connect(t, options.Client().ApplyURI(w.URI()).SetRetryReads(false).SetRetryWrites(false))
	return client.Database(coll.Database().Name()).Collection(coll.Name())
}

// recorder keeps the commands that a client sends, but for hello.
type recorder struct {
	mu       sync.Mutex
	commands []bson.Raw
}

func (r *recorder) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.CommandName != "hello" {
			r.commands = append(r.commands, slices.Clone(e.Command))
		}
	}}
}

// take returns what was sent since it was last called.
func (r *recorder) take() []bson.Raw {
	r.mu.Lock()
	defer r.mu.Unlock()
	cs := r.commands
	r.commands = nil
	return cs
}

func names(cs []bson.Raw) []string {
	var all []string
	for _, c := range cs {
		e, err := c.IndexErr(0)
		if err != nil {
			continue
		}
		all = append(all, e.Key())
	}
	return all
}

// recorded is an updater on a client whose own concerns are the weakest there are.
func recorded(t *testing.T, o *mongodoc.Options) (*mongodoc.Updater, *driver.Client, *recorder) {
	t.Helper()
	r := &recorder{}
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)).SetMonitor(r.monitor()).
		SetWriteConcern(writeconcern.Unacknowledged()).SetReadConcern(readconcern.Available()).SetReadPreference(readpref.Nearest()))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	u := newUpdater(t, client.Database(coll.Database().Name()).Collection(coll.Name()), o)
	r.take()
	return u, client, r
}

// each is nil when the store has carried out every item.
func each(errs []error, err error) error { return errors.Join(append(errs, err)...) }

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// results of the rows of a page, under the leases.
func results(rows []outbox.Row, leases []outbox.Lease) []outbox.Result {
	rs := make([]outbox.Result, len(rows))
	for i := range rows {
		for _, l := range leases {
			if l.First <= rows[i].Hash && rows[i].Hash <= l.Last {
				rs[i] = outbox.Result{Lease: l, ID: rows[i].ID, Version: rows[i].Version}
			}
		}
	}
	return rs
}
