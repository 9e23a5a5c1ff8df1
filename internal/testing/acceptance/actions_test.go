package acceptance

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongoevent "go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// actionsOf are the privilege actions that a command takes, as MongoDB's manual has them. Commands
// that any user may send take none.
func actionsOf(command bson.Raw) ([]string, bool) {
	actions, ok := map[string][]string{
		"find": {"find"}, "aggregate": {"find"}, "insert": {"insert"}, "update": {"find", "update"}, "findAndModify": {"find", "update"}, "delete": {"find", "remove"},
		"create": {"createCollection"}, "listCollections": {"listCollections"}, "createIndexes": {"createIndex"}, "listIndexes": {"listIndexes"},
		"hello": nil, "ping": nil, "getMore": nil, "killCursors": nil, "endSessions": nil,
	}[first(command)]
	if command.Lookup("upsert").Type == bson.TypeBoolean || strings.Contains(command.String(), `"upsert": true`) || strings.Contains(command.String(), `"upsert":true`) {
		actions = append(slices.Clone(actions), "insert")
	}
	return actions, ok
}

func first(command bson.Raw) string {
	elements, err := command.Elements()
	if err != nil || len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

// The actions that the deployment guide lists are enough for all that is sent to MongoDB: marks,
// watermarks, changes of documents, an outbox and its drainer, and the removal of a group.
func TestDocumentedActionsAreEnough(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.FromSlash("../../../docs/deploy.md"))
	must(t, err)
	block := regexp.MustCompile("```text\n(find [a-zA-Z ]+)\n```").FindSubmatch(guide)
	if block == nil {
		t.Fatal("the guide lists no actions")
	}
	allowed := strings.Fields(string(block[1]))
	var mu sync.Mutex
	sent := make(map[string]bool)
	database := mongotest.Database(t).Name()
	client, err := mongo.Connect(options.Client().ApplyURI(mongotest.URI(t)).SetMonitor(&mongoevent.CommandMonitor{Started: func(_ context.Context, e *mongoevent.CommandStartedEvent) {
		actions, known := actionsOf(e.Command)
		mu.Lock()
		defer mu.Unlock()
		sent[e.CommandName] = true
		if !known {
			t.Errorf("the command %s: nobody knows what it takes", e.CommandName)
		}
		for _, a := range actions {
			if !slices.Contains(allowed, a) {
				t.Errorf("the command %s takes %s, which the guide does not list", e.CommandName, a)
			}
		}
	}}))
	must(t, err)
	defer func() { must(t, client.Disconnect(context.Background())) }()
	useMongo(t, client.Database(database))
	for _, command := range []string{"find", "insert", "update", "delete", "createIndexes"} {
		if !sent[command] {
			t.Errorf("no %s was sent: this test does not see what it is to compare", command)
		}
	}
}

// useMongo does all that is done with a database.
func useMongo(t *testing.T, db *mongo.Database) {
	t.Helper()
	ctx := t.Context()
	store, err := mongodedupe.New(ctx, db.Collection("dedupe"), nil)
	must(t, err)
	key := dedupe.Key{Topic: "order.placed", Group: "billing", ID: "1"}
	claims, err := store.Claim(ctx, []dedupe.Request{{Key: key, Nonce: "n", Lease: time.Minute, TTL: time.Hour}})
	must(t, err)
	_, err = store.Extend(ctx, claims, time.Minute, time.Hour)
	must(t, err)
	_, err = store.Settle(ctx, []dedupe.Settlement{{Claim: claims[0], Outcome: dedupe.Succeeded, TTL: time.Hour}})
	must(t, err)
	_, err = store.Seen(ctx, []dedupe.Key{key})
	must(t, err)
	at := dedupe.Watermark{Position: dedupe.Position{Stream: "s@1"}}
	_, err = store.Begin(ctx, "billing", "order.placed", at)
	must(t, err)
	at.Sequence = 1
	must(t, store.Advance(ctx, "billing", "order.placed", at))
	_, err = store.Watermarks(ctx, "billing", "order.placed")
	must(t, err)
	documents, err := mongodoc.New(store, nil)
	must(t, err)
	for range 2 {
		_, err = documents.UpdateOnce(ctx, db.Collection("invoices"), bson.D{{Key: "_id", Value: 1}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "cents", Value: 5}}}},
			&mongodoc.UpdateOptions{Key: key, Upsert: true})
		must(t, err)
	}

	queue, err := mongooutbox.New(ctx, db.Collection("outbox"), nil)
	must(t, err)
	_, err = queue.AddAlone(ctx, bus.Event{ID: "1", Topic: "order.billed"}, bus.Event{ID: "2", Topic: "order.billed"})
	must(t, err)
	drainOutbox(t, queue)
	_, err = queue.Drop(ctx, outbox.Filter{Topic: ">", Status: outbox.Sent})
	must(t, err)
	_, err = store.RemoveGroup(ctx, "billing")
	must(t, err)
}

// drainOutbox publishes the two events of an outbox.
func drainOutbox(t *testing.T, queue *mongooutbox.Queue) {
	t.Helper()
	inner, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "s", Topics: []string{"order.>"}}}})
	must(t, err)
	to := &published{Bus: inner, left: 2, done: make(chan struct{})}
	d, err := outbox.NewDrainer(queue, to, nil)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	select {
	case <-to.done:
	case <-time.After(time.Minute):
		t.Error("nothing is published")
	}
	cancel()
	must(t, <-ended)
}

// published is a bus that says when so many events were published.
type published struct {
	*membus.Bus

	left int
	done chan struct{}
}

// Publish implements bus.Publisher, for one caller at a time.
func (p *published) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts, err := p.Bus.Publish(ctx, events...)
	if p.left -= len(events); err == nil && p.left == 0 {
		close(p.done)
	}
	return receipts, err
}
