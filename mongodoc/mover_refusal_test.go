package mongodoc_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/internal/waitingevents"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// welcome has the id of every other one, by mistake.
func welcome(i int) bus.Event {
	return bus.Event{ID: "welcome", Topic: "mail.due", Data: fmt.Appendf(nil, "%04d", i)}
}

// wantMoved moves once.
func (h *house) wantMoved(m *mongodoc.Mover, want mongodoc.Moved) {
	h.t.Helper()
	if got, err := m.Move(h.t.Context()); err != nil || got != want {
		h.t.Errorf("moved %+v, %v; want %+v", got, err, want)
	}
}

func (h *house) wantCounts(want outbox.Counts) {
	h.t.Helper()
	got, err := h.queue.Count(h.t.Context())
	if got.Oldest = 0; err != nil || got != want {
		h.t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// What can never be added under its id is a dead row beside the other event's: it is counted,
// listed and can be retried, in its own order, and it keeps nothing else from moving.
func TestMovedClashesAreDeadRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const clashes = 30
	if _, err := h.queue.AddAlone(t.Context(), welcome(0)); err != nil {
		t.Fatal(err)
	}
	for i := range clashes {
		h.leave(i, "a", welcome(i), invoice("k", i)) // that of 0 is the same event
	}
	h.wantCounts(outbox.Counts{Pending: 1, Waiting: clashes})
	m := h.mover(h.queue)
	h.wantMoved(m, mongodoc.Moved{Events: 2 * clashes, Dead: clashes - 1})
	h.wantCounts(outbox.Counts{Pending: clashes + 1, Dead: clashes - 1})
	if got := h.pending("k"); !slices.Equal(got, upTo(clashes)) || m.Healthy() != nil {
		t.Errorf("rows of k: %v; healthy: %v", got, m.Healthy())
	}
	h.leave(5, "b", welcome(5)) // as a mover that ended too early leaves it
	h.wantMoved(m, mongodoc.Moved{Events: 1, Dead: 1})
	rows, err := h.queue.List(t.Context(), outbox.Filter{IDs: []string{"welcome"}, Status: outbox.Dead}, 100)
	if err != nil || len(rows) != clashes-1 || string(rows[4].Event.Data) != "0005" || !strings.Contains(rows[4].Reason, "another event") {
		t.Fatalf("%d dead rows, %v; want %d", len(rows), err, clashes-1)
	}
	if n, err := h.queue.Retry(t.Context(), outbox.Filter{IDs: []string{"welcome"}}); err != nil || n != clashes-1 {
		t.Errorf("%d retried, %v", n, err)
	}
	leases := must[[]outbox.Lease](t)(h.queue.Acquire(t.Context(), "me", time.Hour))
	rs := results(must[outbox.Page](t)(h.queue.Pending(t.Context(), outbox.Ask{To: outbox.MaxHash, Rows: 1 << 20, Bytes: 1 << 30})).Rows, leases)
	if oks := must[[]bool](t)(h.queue.Settle(t.Context(), rs)); len(oks) != 2*clashes || slices.Contains(oks, false) {
		t.Errorf("%d rows settled: %v", len(oks), oks)
	}
	h.wantCounts(outbox.Counts{Sent: 2 * clashes})
}

// Two documents that leave one id with two payloads before either is moved.
func TestMovedTogetherClashesAreDeadRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 3 {
		h.leave(i, "a", welcome(i/2))
	}
	h.wantMoved(h.mover(h.queue), mongodoc.Moved{Events: 3, Dead: 1})
	h.wantCounts(outbox.Counts{Pending: 1, Dead: 1})
}

// How many commands a pass takes does not grow with the clashes among its events.
func TestMovingClashesTakesFewCommands(t *testing.T) {
	t.Parallel()
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t)))).Database().Collection("outbox")
	h, r := newHouseIn(t, coll), &recorder{}
	for i := range 60 {
		h.leave(i, "a", welcome(i), invoice("k", i))
	}
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)).SetMonitor(r.monitor()))
	q := openQueue(t, client.Database(coll.Database().Name()).Collection(coll.Name()))
	r.take()
	h.wantMoved(h.mover(q), mongodoc.Moved{Events: 120, Dead: 59})
	if sent := names(r.take()); len(sent) > 10 {
		t.Errorf("%d commands: %v", len(sent), sent)
	}
}

// Each round trip has the whole of the time that a call may take, and what it did stays done.
func TestMoveOverASlowNetwork(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.queue.AddAlone(t.Context(), welcome(9)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		h.leave(i, "a", welcome(i), invoice("k", i))
	}
	client := connect(t, options.Client().ApplyURI(h.wire.URI()))
	const tries = 30 // a server that stands still takes more than one
	var q *mongooutbox.Queue
	var err error
	for range tries {
		q, err = mongooutbox.New(t.Context(), client.Database(h.coll.Database().Name()).Collection("outbox"), &mongooutbox.Options{Timeout: 2 * time.Second})
		if err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	h.wire.Slow(700 * time.Millisecond)
	m, err := mongodoc.NewMover(q, &mongodoc.MoverOptions{Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range tries {
		if _, _ = m.Move(t.Context()); h.waiting() == 0 {
			break
		}
	}
	if got := h.pending("k"); !slices.Equal(got, upTo(5)) || h.waiting() != 0 {
		t.Errorf("rows: %v; %d documents wait, %v", got, h.waiting(), m.Healthy())
	}
}

// Documents of which somebody else has written the reserved field stay as they are, however many
// there are; all others are moved, and once they are mended they are, too.
func TestMoveBesideSpoiltDocuments(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const spoilt = 1_100 // more than are read at once
	docs := make([]any, spoilt)
	for i := range docs {
		docs[i] = bson.D{{Key: "_id", Value: i}, {Key: "_onceish", Value: bson.D{{Key: "waits", Value: true}, {Key: "events", Value: "x"}}}}
	}
	if _, err := h.coll.InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		h.leave(fmt.Sprint("fine", i), "a", invoice("k", i))
	}
	m := h.mover(h.queue)
	h.wantMoved(m, mongodoc.Moved{Events: 5, Stuck: spoilt})
	h.wantMoved(m, mongodoc.Moved{Stuck: spoilt})
	if err := m.Healthy(); !errors.Is(err, ledger.ErrMalformed) || !strings.Contains(err.Error(), "1100 documents keep their events") {
		t.Errorf("healthy: %v", err)
	}
	if s := m.Stats(); s != (mongodoc.Moved{Events: 5, Stuck: spoilt}) {
		t.Errorf("stats %+v", s)
	}
	if _, err := h.coll.UpdateMany(t.Context(), op("_onceish.events", "x"), op("$unset", op("_onceish", 1))); err != nil {
		t.Fatal(err)
	}
	h.wantMoved(m, mongodoc.Moved{})
	if err := m.Healthy(); err != nil {
		t.Errorf("mended, and not healthy: %v", err)
	}
}

// A row that the server refuses leaves its document as it is, and no other.
func TestMoveBesideRefusedRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 4 {
		h.leave(i, "a", invoice("k", i))
	}
	var refused atomic.Bool
	h.wire.Rewrite(func(command string, reply bson.D) bson.D {
		if command != "insert" || refused.Swap(true) {
			return reply
		}
		return mongowire.With(reply, "writeErrors", bson.A{mongowire.WriteError(0, 121, "Document failed validation")})
	})
	h.wantMoved(h.mover(h.wired), mongodoc.Moved{Events: 3, Stuck: 1})
	if n := h.waiting(); n != 1 {
		t.Errorf("%d documents wait, want the one whose row was refused", n)
	}
}

// The registry is restored or dropped under processes that go on: events are found all the same,
// and by movers that begin later.
func TestMoveOutOfACollectionThatTheRegistryLost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.mover(h.queue)
	h.leave("o", "a", invoice("k", 0))
	h.wantMoved(m, mongodoc.Moved{Events: 1})
	registry := h.coll.Database().Collection(waitingevents.Registry)
	if err := registry.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.leave("o", "b", invoice("k", 1))
	h.wantMoved(m, mongodoc.Moved{Events: 1})
	h.leave("o", "c", invoice("k", 2))
	h.wantMoved(h.mover(h.queue), mongodoc.Moved{Events: 1})
	if got := h.pending("k"); !slices.Equal(got, upTo(3)) {
		t.Errorf("rows: %v", got)
	}
	if err := registry.FindOne(t.Context(), op("_id", h.coll.Name())).Err(); errors.Is(err, driver.ErrNoDocuments) {
		t.Error("the collection was not named again")
	}
}
