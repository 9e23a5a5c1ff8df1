package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker/handlers/publish"
)

// uriOf is the server's, with a database.
func uriOf(t *testing.T, database string) string {
	t.Helper()
	return within(mongotest.URI(t), database)
}

// within is the URI with a database.
func within(uri, database string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	hosts, options, more := strings.Cut(rest, "?")
	if hosts, _, _ = strings.Cut(hosts, "/"); more {
		options = "?" + options
	}
	return scheme + "://" + hosts + "/" + database + options
}

// connectTo is a process's connections to a server, and to a database.
func connectTo(t *testing.T, nats, database string) *Connections {
	t.Helper()
	return connectToMongo(t, nats, uriOf(t, database))
}

func connectToMongo(t *testing.T, nats, uri string) *Connections {
	t.Helper()
	c, err := Connect(t.Context(), &ConnectOptions{NATS: nats, Store: uri, Provision: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func openBox(t *testing.T, c *Connections) *Outbox {
	t.Helper()
	box, err := c.Outbox(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// beside runs a worker until the test ends.
func beside(t *testing.T, c *Connections, o *outbox.Options) {
	t.Helper()
	w, err := New("g", c, &Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddDrainer(openBox(t, c), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A row that one process adds is on the bus at once although the drainer, in another one, hardly
// ever looks for rows.
func TestWritersWakeDrainersOfOtherProcesses(t *testing.T) {
	t.Parallel()
	server, db := natstest.Start(t, nil), mongotest.Database(t).Name()
	writer := openBox(t, connectTo(t, server.URL(), db))
	reader := connectTo(t, server.URL(), db)
	s, err := reader.Bus().Subscribe(t.Context(), "t", "reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	beside(t, connectTo(t, server.URL(), db), &outbox.Options{PollMin: time.Minute, PollMax: time.Hour})
	next := func() {
		for {
			ds, err := s.Fetch(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(ds) > 0 {
				if err := ds[0].Ack(t.Context()); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	var took []time.Duration
	for i := range 41 {
		began := time.Now()
		if _, err := writer.AddAlone(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		next()
		if i > 0 { // the first one may find nobody who listens
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	t.Logf("from adding to arriving: median %v, longest %v", took[len(took)/2], took[len(took)-1])
	if longest := took[len(took)-1]; longest > 20*time.Second { // the drainer looks by itself after a minute
		t.Errorf("an added row takes %v: nobody woke the drainer", longest)
	}
}

// A notification by another process wakes the mover too: the events of a document are in the outbox
// although the mover hardly ever looks for them.
func TestNotificationsWakeTheMover(t *testing.T) {
	t.Parallel()
	server, db := natstest.Start(t, nil), mongotest.Database(t).Name()
	writer, c := connectTo(t, server.URL(), db), connectTo(t, server.URL(), db)
	notify := openBox(t, writer).Notify
	store, err := writer.Documents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	box := openBox(t, c)
	if box.mover, err = mongodoc.NewMover(box.Queue, &mongodoc.MoverOptions{PollMin: time.Hour, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = box.mover.Run(ctx) })
	running.Go(func() { _ = box.Watch(ctx, func() {}) })
	coll := c.database.Collection("invoices")
	again := time.NewTicker(50 * time.Millisecond) // the first ones may be rung before anybody listens
	defer again.Stop()
	for i := range 3 { // the first ones may be found as the mover starts
		if _, err := store.UpdateOnce(ctx, coll, bson.D{{Key: "_id", Value: i}}, bson.D{}, &mongodoc.UpdateOptions{
			Upsert: true, Key: dedupe.Key{ID: strconv.Itoa(i)}, Publish: []bus.Event{{Topic: "invoice.issued", Key: "k"}},
		}); err != nil {
			t.Fatal(err)
		}
		for moved := 0; moved <= i; {
			notify()
			counts, err := box.Count(ctx)
			if err != nil {
				t.Fatalf("%d of %d events were moved: %v", moved, i+1, err)
			}
			moved = counts.Pending
			<-again.C
		}
	}
}

func TestOutboxNeedsMongoDB(t *testing.T) {
	t.Parallel()
	c, err := Connect(t.Context(), &ConnectOptions{NATS: natstest.Start(t, nil).URL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Outbox(t.Context(), "orders", nil); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), `the outbox "orders" needs a MongoDB: set --mongo or MONGODB_URI`) {
		t.Errorf("%v", err)
	}
}

func TestOutboxIsNotWhereMarksAre(t *testing.T) {
	t.Parallel()
	db := mongotest.Database(t).Name()
	c := connectTo(t, natstest.Start(t, nil).URL(), db)
	if _, err := c.Outbox(t.Context(), "dedupe", nil); !errors.Is(err, ErrUsage) {
		t.Errorf("%v, want %v", err, ErrUsage)
	}
	box := openBox(t, c)
	if name := box.Name(); !strings.HasSuffix(name, " "+db+".outbox") {
		t.Errorf("its name is %q", name)
	}
	collections, err := c.Mongo().Database(db).ListCollectionNames(t.Context(), bson.D{})
	if err != nil || slices.Contains(collections, "dedupe") {
		t.Errorf("there are %v (%v): who has no subscription needs no marks", collections, err)
	}
}

// A handler that publishes by way of the outbox leaves one row, however often it runs.
func TestPublishHandlerAddsOneRow(t *testing.T) {
	t.Parallel()
	box := openBox(t, connectTo(t, natstest.Start(t, nil).URL(), mongotest.Database(t).Name()))
	h, err := publish.NewOutbox(box, "u")
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"1", strings.Repeat("long", 128), strings.Repeat("x", 5000), "a::b %\u00fc"} {
		key := dedupe.Key{Topic: strings.Repeat("t", 500), Group: strings.Repeat("g", 500), ID: id}
		ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{Number: 1, Key: key})
		e := bus.Event{ID: id, Topic: key.Topic, Key: "k", Data: []byte("x")}
		for trace := range 2 { // the second one is another copy of the event
			e.Time, e.Headers = time.Unix(int64(trace), 0), bus.Headers{"Traceparent": {strconv.Itoa(trace)}}
			if err := h.Handle(ctx, e); err != nil {
				t.Fatalf("%.20q: %v", id, err)
			}
		}
		n, err := box.Count(t.Context())
		if err != nil || n.Pending != i+1 {
			t.Errorf("%.20q: %+v, want %d rows (%v)", id, n, i+1, err)
		}
		e.Data = []byte("another")
		if err := h.Handle(ctx, e); !errors.Is(err, outbox.ErrExists) || !consumer.IsPermanent(err) {
			t.Errorf("%.20q with other data: %v", id, err)
		}
	}
}

// OpenOutbox makes nothing where there is no outbox.
func TestOpenOutboxMakesNone(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	if _, err := coll.InsertOne(t.Context(), bson.D{{Key: "a", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	uri := uriOf(t, coll.Database().Name())
	for _, name := range []string{"", coll.Name()} {
		if _, err := OpenOutbox(t.Context(), &ConnectOptions{Store: uri, Name: "test"}, name); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "there is no outbox") {
			t.Errorf("%q: %v", name, err)
		}
	}
	indexes, err := coll.Indexes().ListSpecifications(t.Context())
	if err != nil || len(indexes) != 1 {
		t.Errorf("there are %d indexes (%v), want that of _id alone", len(indexes), err)
	}
	if _, err := mongooutbox.New(t.Context(), coll, &mongooutbox.Options{Keep: time.Hour}); err != nil {
		t.Fatal(err)
	}
	a, err := OpenOutbox(t.Context(), &ConnectOptions{Store: uri, Name: "test"}, coll.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if n, err := a.Count(t.Context()); err != nil || n != (outbox.Counts{}) {
		t.Errorf("%+v %v", n, err)
	}
}

// OpenOutbox finds the outbox that worker provision has made, before any worker has run.
func TestOpenOutboxFindsOneThatWasProvisioned(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	if err := mongooutbox.Layout(48*time.Hour).Ensure(t.Context(), coll); err != nil {
		t.Fatal(err)
	}
	a, err := OpenOutbox(t.Context(), &ConnectOptions{Store: uriOf(t, coll.Database().Name()), Name: "test"}, coll.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if n, err := a.Count(t.Context()); err != nil || n != (outbox.Counts{}) {
		t.Errorf("%+v %v", n, err)
	}
}

// Consume, change, publish: an order's document carries its mark and the event that it brings
// about, which this worker's outbox publishes.
func TestChangesOfDocumentsPublishTheirEvents(t *testing.T) {
	t.Parallel()
	server, db := natstest.Start(t, nil), mongotest.Database(t)
	c := connectTo(t, server.URL(), db.Name())
	for _, topic := range []string{"order.placed", "invoice.issued"} {
		if _, err := c.Bus().Topic(t.Context(), topic, "", bus.Start{}); err != nil {
			t.Fatal(err)
		}
	}
	const orders = 50
	for i := range orders {
		if _, err := c.Bus().Publish(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: "order.placed"}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := New("billing", c, &Options{UntilEmpty: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	once, err := w.Documents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddDrainer(openBox(t, c), &outbox.Options{PollMin: time.Minute, PollMax: time.Hour}); err != nil {
		t.Fatal(err)
	}
	w.Handle("order.placed", func(ctx context.Context, e bus.Event) error {
		_, err := once.UpdateOnce(ctx, db.Collection("invoices"), bson.D{{Key: "_id", Value: e.ID}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "times", Value: 1}}}},
			&mongodoc.UpdateOptions{Upsert: true, Publish: []bus.Event{{Topic: "invoice.issued", Key: e.ID, Data: []byte(e.ID)}}})
		if err == nil && consumer.AttemptFrom(ctx).Number == 1 {
			return consumer.RetryAfter(time.Millisecond, errors.New("after the change"))
		}
		return err
	}, nil)
	issued := make(chan string, 2*orders)
	w.Handle("invoice.issued", func(_ context.Context, e bus.Event) error {
		issued <- string(e.Data)
		return nil
	}, nil)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(issued)
	seen := make(map[string]int)
	for id := range issued {
		seen[id]++
	}
	for i := range orders {
		if n := seen[strconv.Itoa(i)]; n != 1 {
			t.Errorf("invoice %d was issued %d times", i, n)
		}
	}
	if n, err := db.Collection("invoices").CountDocuments(t.Context(), bson.D{{Key: "times", Value: 1}}); err != nil || n != orders {
		t.Errorf("%d of %d documents were changed once (%v)", n, orders, err)
	}
}

// Consume, write, publish in transactions: what a handler writes, the event that it adds and its
// mark are there together, or none of them is. The server is made a member of a replica set by a
// proxy, which keeps the writes of a transaction until it is committed.
func TestTransactionsPublishWhatTheyAdd(t *testing.T) {
	t.Parallel()
	server, db := natstest.Start(t, nil), mongotest.Database(t)
	c := connectToMongo(t, server.URL(), within(mongowire.NewFakeReplicaSet(t, mongotest.URI(t)).URI(), db.Name()))
	for _, topic := range []string{"order.placed", "invoice.issued"} {
		if _, err := c.Bus().Topic(t.Context(), topic, "", bus.Start{}); err != nil {
			t.Fatal(err)
		}
	}
	const orders = 20
	for i := range orders {
		if _, err := c.Bus().Publish(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: "order.placed"}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := New("billing", c, &Options{UntilEmpty: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	box := openBox(t, c)
	if _, err := w.AddDrainer(box, nil); err != nil {
		t.Fatal(err)
	}
	invoices := w.Database().Collection("invoices")
	w.Handle("order.placed", func(ctx context.Context, e bus.Event) error {
		if _, err := invoices.InsertOne(ctx, bson.D{{Key: "order", Value: e.ID}}); err != nil {
			return err
		}
		if _, err := box.Add(ctx, bus.Event{Topic: "invoice.issued", Data: []byte(e.ID)}); err != nil { // each run's has an id of its own
			return err
		}
		if consumer.AttemptFrom(ctx).Number == 1 {
			return consumer.RetryAfter(time.Millisecond, errors.New("after both"))
		}
		return nil
	}, &consumer.Options{Mode: consumer.Transactional, RunLimit: 5 * time.Second})
	issued := make(chan string, 2*orders)
	w.Handle("invoice.issued", func(_ context.Context, e bus.Event) error {
		issued <- string(e.Data)
		return nil
	}, nil)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(issued)
	var all []string
	for id := range issued {
		all = append(all, id)
	}
	if slices.Sort(all); len(all) != orders || len(slices.Compact(all)) != orders {
		t.Errorf("issued %q, want each of %d once", all, orders)
	}
	if n, err := db.Collection("invoices").CountDocuments(t.Context(), bson.D{}); err != nil || n != orders {
		t.Errorf("%d invoices, want %d (%v)", n, orders, err)
	}
}

// Beside its name for people an outbox has a short one, for labels: it has no server in it.
func TestOutboxHasAShortName(t *testing.T) {
	t.Parallel()
	c := connectTo(t, natstest.Start(t, nil).URL(), mongotest.Database(t).Name())
	for namespace, want := range map[string]string{"": "outbox", "eu": "outbox.eu"} {
		c.o.Namespace = namespace
		w, err := New("g", c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.AddDrainer(openBox(t, c), nil); err != nil {
			t.Fatal(err)
		}
		if s := w.drainers[0].snapshot(); s.ShortName != want || !strings.HasSuffix(s.Name, "."+want) || !strings.Contains(s.Name, "://") {
			t.Errorf("it is %q, want %q; its name is %q", s.ShortName, want, s.Name)
		}
	}
}
