package projector_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/projector"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Each check of a property takes some hundred round trips: unless a number is given it is less
	// than rapid's own.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("20"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// patience is longer than any call takes on a loaded machine.
const patience = time.Minute

const (
	topic = "user.changed"
	group = "users"
)

// user is the document of these tests. An empty name deletes it.
type user struct {
	Name  string `bson:"name"`
	Email string `bson:"email,omitempty"`
}

// userEvent is the event that a user has changed; its key is that of the user.
func userEvent(id, key string, u user) bus.Event {
	data, err := bson.Marshal(u)
	if err != nil {
		panic(err)
	}
	return bus.Event{ID: id, Topic: topic, Key: key, Data: data}
}

// projectUser is the projector.Func of these tests.
func projectUser(e bus.Event) (projector.Change, error) {
	var u user
	if err := bson.Unmarshal(e.Data, &u); err != nil {
		return projector.Change{}, err
	}
	if u.Name == "" {
		return projector.Delete(e.Key), nil
	}
	return projector.Upsert(e.Key, u), nil
}

// stored is an event at a position.
type stored struct {
	event bus.Event
	at    bus.Position
}

// at is a position in the stream of these tests.
func at(sequence uint64) bus.Position { return bus.Position{Stream: "users@1", Sequence: sequence} }

// running is the context that a subscription gives to the run of an event.
func running(ctx context.Context, s stored) context.Context {
	return consumer.WithAttempt(ctx, consumer.Attempt{
		Number: 1, IdempotencyKey: s.event.ID, At: s.at, Original: s.at, Key: dedupe.Key{Topic: s.event.Topic, Group: group, ID: s.event.Identity()},
	})
}

// unique is options with a unique email.
func unique(p projector.Policy) *projector.Options {
	return &projector.Options{Unique: []projector.Unique{{Field: "email", Policy: p}}}
}

// projection makes a projection that is ready.
func projection(tb testing.TB, coll *driver.Collection, f projector.Func, o *projector.Options) *projector.Projection {
	tb.Helper()
	p, err := projector.New(coll, f, o)
	must(tb, err)
	must(tb, p.Prepare(tb.Context()))
	return p
}

// documents are what readers see of a collection, by key, in their own words.
func documents(tb testing.TB, coll *driver.Collection) map[string]string {
	tb.Helper()
	cur, err := coll.Find(context.Background(), projector.Visible())
	must(tb, err)
	var all []struct {
		ID   string `bson:"_id"`
		User user   `bson:",inline"`
	}
	must(tb, cur.All(context.Background(), &all))
	out := make(map[string]string, len(all))
	for _, d := range all {
		out[d.ID] = fmt.Sprintf("%s <%s>", d.User.Name, d.User.Email)
	}
	return out
}

// through is a collection behind the proxy, by a client that does not retry by itself.
func through(tb testing.TB, w *mongowire.Proxy, coll *driver.Collection) *driver.Collection {
	tb.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(w.URI()).SetRetryReads(false).SetRetryWrites(false).SetTimeout(patience))
	must(tb, err)
	tb.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database(coll.Database().Name()).Collection(coll.Name())
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
