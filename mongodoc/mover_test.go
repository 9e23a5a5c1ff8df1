package mongodoc_test

import (
	"context"
	"fmt"
	"log/slog"
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
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// house is a store, an outbox, and documents in which events wait.
type house struct {
	t     *testing.T
	docs  *mongodoc.Updater
	queue *mongooutbox.Queue
	wire  *mongowire.Proxy // before wired
	wired *mongooutbox.Queue
	coll  *driver.Collection
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return newHouseIn(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))).Database(mongotest.Database(t).Name()).Collection("outbox"))
}

func newHouseIn(t *testing.T, coll *driver.Collection) *house {
	t.Helper()
	db := coll.Database()
	docs := newUpdater(t, db.Collection("dedupe"), &mongodoc.Options{Timeout: patience})
	h := &house{t: t, docs: docs, queue: openQueue(t, coll), wire: mongowire.New(t, mongotest.URI(t)), coll: db.Collection("orders")}
	client := connect(t, options.Client().ApplyURI(h.wire.URI()).SetRetryReads(false).SetRetryWrites(false))
	h.wired = openQueue(t, client.Database(db.Name()).Collection(coll.Name()))
	return h
}

func (h *house) mover(q *mongooutbox.Queue) *mongodoc.Mover {
	h.t.Helper()
	m, err := mongodoc.NewMover(q, &mongodoc.MoverOptions{Timeout: patience, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// leave changes a document for an event, and leaves events there.
func (h *house) leave(document any, event string, events ...bus.Event) {
	h.t.Helper()
	o := &mongodoc.UpdateOptions{Key: dedupe.Key{ID: event}, Upsert: true, Publish: events}
	if _, err := h.docs.UpdateOnce(h.t.Context(), h.coll, op("_id", document), op("$inc", op("n", 1)), o); err != nil {
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
	if moved, err := h.mover(h.queue).Move(t.Context()); err != nil || moved.Events != 1 {
		t.Errorf("moved %+v, %v", moved, err)
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

// A replaced document starts again above what it had come to.
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

// More than is moved at once, in one document and in many.
func TestMoveMany(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var many []bus.Event
	for i := range 1200 {
		many = append(many, invoice("k", i))
	}
	h.leave("big", "a", many...)
	for i := range 30 {
		h.leave(i, "a", invoice("", i))
	}
	moved, err := h.mover(h.queue).Move(t.Context())
	if err != nil || moved.Events != 1230 || h.waiting() != 0 {
		t.Errorf("moved %+v, %v; %d documents wait", moved, err, h.waiting())
	}
	if got := h.pending("k"); !slices.Equal(got, upTo(1200)) {
		t.Errorf("%d rows", len(got))
	}
}

// A mover that is told moves at once, and tells the drainer.
func TestMoverIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	told := make(chan struct{}, 1)
	m, err := mongodoc.NewMover(h.queue, &mongodoc.MoverOptions{
		PollMin: time.Hour, PollMax: time.Hour, Moved: func() { told <- struct{}{} }, Databases: []*driver.Database{h.coll.Database()},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.docs = newUpdater(t, h.coll.Database().Collection("dedupe"), &mongodoc.Options{Waiting: m.Notify, Timeout: patience})
	run, stop := m.Actor()
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		h.leave("o", fmt.Sprint(i), invoice("k", i))
		<-told
	}
	stop(nil)
	stop(nil)
	running.Wait()
	if got := h.pending("k"); !slices.Equal(got, upTo(3)) {
		t.Errorf("rows: %v", got)
	}
}

// Documents in which nothing waits are not looked at.
func TestMoveUsesItsIndex(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.leave("o", "a", invoice("k", 0))
	docs := make([]any, 20_000)
	for i := range docs {
		docs[i] = op("_id", i)
	}
	if _, err := h.coll.InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	var plan bson.Raw
	explain := bson.D{{Key: "explain", Value: bson.D{{Key: "find", Value: h.coll.Name()}, {Key: "filter", Value: op("_onceish.waits", true)}, {Key: "sort", Value: op("_id", 1)}, {Key: "limit", Value: 1000}}}}
	if err := h.coll.Database().RunCommand(t.Context(), explain).Decode(&plan); err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	if strings.Contains(text, "COLLSCAN") || strings.Contains(text, "Seq Scan") || !strings.Contains(text, `"_onceish"`) {
		t.Errorf("the plan is %s", text)
	}
}

func TestMoverOptions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for want, o := range map[string]*mongodoc.MoverOptions{
		"Databases[0]": {Databases: []*driver.Database{nil}}, "PollMin": {PollMin: -1}, "PollMax": {PollMin: 2, PollMax: 1},
	} {
		if _, err := mongodoc.NewMover(h.queue, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := mongodoc.NewMover(nil, nil); err == nil {
		t.Error("made without a queue")
	}
}

// Who has changed the document is told to consumers by the headers of its events, which the mover
// and its own context do not change.
func TestEventsKeepWhatTheContextOfTheirUpdateAdds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	type writer struct{}
	h.docs = newUpdater(t, h.coll.Database().Collection("dedupe"), &mongodoc.Options{
		Timeout: patience,
		Headers: func(ctx context.Context) bus.Headers {
			name, _ := ctx.Value(writer{}).(string)
			return bus.Headers{"traceparent": {name}}
		},
	})
	o := &mongodoc.UpdateOptions{Key: dedupe.Key{ID: "1"}, Upsert: true, Publish: []bus.Event{invoice("k", 1)}}
	ctx := context.WithValue(t.Context(), writer{}, "checkout")
	if _, err := h.docs.UpdateOnce(ctx, h.coll, op("_id", 1), op("$inc", op("n", 1)), o); err != nil {
		t.Fatal(err)
	}
	if _, err := h.mover(h.queue).Move(t.Context()); err != nil {
		t.Fatal(err)
	}
	hash := outbox.Hash("k", "")
	page, err := h.queue.Pending(t.Context(), outbox.Ask{From: hash, To: hash, Rows: 10, Bytes: 1 << 20})
	if err != nil || len(page.Rows) != 1 || page.Rows[0].Event.Headers.Get("traceparent") != "checkout" {
		t.Errorf("rows %+v, %v, want one with the context of its update", page.Rows, err)
	}
	if len(o.Publish[0].Headers) > 0 {
		t.Errorf("the caller's event has %v", o.Publish[0].Headers)
	}
}
