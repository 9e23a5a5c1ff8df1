package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/mongotest"
	"github.com/onceish/onceish/internal/mongowire"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// house is a store, an outbox, and documents in which events wait.
type house struct {
	t     *testing.T
	store *mongodedupe.Store
	queue *mongooutbox.Queue
	wire  *mongowire.Proxy // before wired
	wired *mongooutbox.Queue
	coll  *driver.Collection
}

func newHouse(t *testing.T) *house {
	t.Helper()
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	db := coll.Database()
	store, err := mongodedupe.New(t.Context(), db.Collection("dedupe"), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: store, queue: open(t, coll, nil), wire: mongowire.New(t, mongotest.URI(t)), coll: db.Collection("orders")}
	client := connect(t, options.Client().ApplyURI(h.wire.URI()).SetRetryReads(false).SetRetryWrites(false))
	h.wired = open(t, client.Database(db.Name()).Collection(coll.Name()), nil)
	return h
}

func (h *house) mover(q *mongooutbox.Queue) *mongooutbox.Mover {
	h.t.Helper()
	m, err := mongooutbox.NewMover(q, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// leave changes a document for an event, and leaves events there.
func (h *house) leave(document any, event string, events ...bus.Event) {
	h.t.Helper()
	o := &mongodedupe.UpdateOptions{Key: dedupe.Key{ID: event}, Upsert: true, Publish: events}
	if _, err := h.store.UpdateOnce(h.t.Context(), h.coll, op("_id", document), op("$inc", op("n", 1)), o); err != nil {
		h.t.Fatal(err)
	}
}

func op(name string, value any) bson.D { return bson.D{{Key: name, Value: value}} }

// pending is the data of the rows of a key in their order.
func (h *house) pending(key string) []string {
	h.t.Helper()
	hash := outbox.Hash(key, "")
	page, err := h.queue.Pending(h.t.Context(), outbox.Ask{From: hash, To: hash, Rows: 1 << 20, Bytes: 1 << 30})
	if err != nil {
		h.t.Fatal(err)
	}
	var data []string
	for _, r := range page.Rows {
		data = append(data, string(r.Event.Data))
	}
	return data
}

// waiting is how many documents have events that wait.
func (h *house) waiting() int64 {
	h.t.Helper()
	n, err := h.coll.CountDocuments(h.t.Context(), op("_onceish.waits", true))
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func invoice(key string, i int) bus.Event {
	return bus.Event{Topic: "invoice.issued", Key: key, Data: fmt.Appendf(nil, "%04d", i)}
}

func upTo(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%04d", i)
	}
	return all
}

// Events keep what they are, their order, and their ids over a mover that ends in between.
func TestMove(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	full := bus.Event{
		ID: "mine", Topic: "invoice.issued", Key: "full", Type: "t", Source: "s", Time: time.Unix(1, 5).UTC(), ContentType: "text/plain", Data: []byte{0, 255},
		Headers: bus.Headers{"a.b": {"1", "2"}, "$c": {""}},
	}
	h.leave("o1", "a", invoice("k", 0), invoice("k", 1), full)
	h.leave("o1", "b", invoice("k", 2))
	h.leave("o1", "b", invoice("k", 9)) // a repeat
	h.leave("o2", "a", invoice("other", 0))
	for n, lost := 0, true; lost; n++ { // each command of a pass is lost after it was done
		end := h.wire.Fail(n, true)
		_, err := h.mover(h.wired).Move(t.Context())
		if lost = end(); lost != (err != nil) || !lost && n < 4 {
			t.Fatalf("command %d: lost: %t, %v", n, lost, err)
		}
	}
	h.leave("o1", "c", invoice("k", 3))
	if n, err := h.mover(h.queue).Move(t.Context()); err != nil || n != 1 {
		t.Errorf("moved %d, %v", n, err)
	}
	if got := h.pending("k"); !slices.Equal(got, upTo(4)) {
		t.Errorf("rows of k: %v", got)
	}
	if got := h.pending("other"); !slices.Equal(got, upTo(1)) || h.waiting() != 0 {
		t.Errorf("rows of other: %v; %d documents wait", got, h.waiting())
	}
	rows, err := h.queue.List(t.Context(), outbox.Filter{IDs: []string{"mine"}}, 2)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	got := rows[0].Event
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", full) {
		t.Errorf("came out as %+v, want %+v", got, full)
	}
}

// Movers that work at the same time, while events are left, lose none and keep their order.
func TestMoversTogether(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const events = 150
	ctx, cancel := context.WithCancel(t.Context())
	var movers sync.WaitGroup
	for range 3 {
		m := h.mover(h.queue)
		movers.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range events {
		h.leave("hot", fmt.Sprint(i), invoice("k", 2*i), invoice("k", 2*i+1))
	}
	for h.waiting() > 0 {
		time.Sleep(time.Millisecond) // a real server
	}
	cancel()
	movers.Wait()
	if got := h.pending("k"); !slices.Equal(got, upTo(2*events)) {
		t.Errorf("%d rows: %v", len(got), got)
	}
}

// A replaced document starts anew above what it had come to.
func TestMoveReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.leave("o", "a", invoice("k", 0), invoice("k", 1))
	m := h.mover(h.queue)
	if _, err := m.Move(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.coll.ReplaceOne(t.Context(), op("_id", "o"), op("n", 1)); err != nil {
		t.Fatal(err)
	}
	h.leave("o", "b", invoice("k", 2))
	if _, err := m.Move(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.pending("k"); !slices.Equal(got, upTo(3)) {
		t.Errorf("rows: %v", got)
	}
}

// What the outbox does not take stays, and is told; it keeps nothing else from moving.
func TestMoveStuck(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.queue.AddAlone(t.Context(), bus.Event{ID: "taken", Topic: "another"}); err != nil {
		t.Fatal(err)
	}
	h.leave("clash", "a", bus.Event{ID: "taken", Topic: "invoice.issued"})
	h.leave("spoilt", "b", invoice("k", 9))
	if _, err := h.coll.UpdateOne(t.Context(), op("_id", "spoilt"), op("$set", op("_onceish.events", "x"))); err != nil {
		t.Fatal(err)
	}
	h.leave("fine", "c", invoice("k", 0))
	n, err := h.mover(h.queue).Move(t.Context())
	if n != 1 || !errors.Is(err, outbox.ErrExists) || strings.Count(err.Error(), "spoilt") != 1 || strings.Count(err.Error(), "clash") != 1 {
		t.Errorf("moved %d, %v", n, err)
	}
	if got := h.pending("k"); !slices.Equal(got, upTo(1)) || h.waiting() != 2 {
		t.Errorf("rows: %v; %d documents wait", got, h.waiting())
	}
}

// More than is moved at once, in one document and in many.
func TestMoveMany(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var many []bus.Event
	for i := range 2500 {
		many = append(many, invoice("k", i))
	}
	h.leave("big", "a", many...)
	for i := range 30 {
		h.leave(i, "a", invoice("", i))
	}
	n, err := h.mover(h.queue).Move(t.Context())
	if err != nil || n != 2530 || h.waiting() != 0 {
		t.Errorf("moved %d, %v; %d documents wait", n, err, h.waiting())
	}
	if got := h.pending("k"); !slices.Equal(got, upTo(2500)) {
		t.Errorf("%d rows", len(got))
	}
}
