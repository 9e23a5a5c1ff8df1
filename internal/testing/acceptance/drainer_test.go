package acceptance

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/outbox/outboxtest"
	"github.com/onceish/onceish/worker"
)

const drainerEnv = "ONCEISH_ACCEPTANCE_DRAINER"

// drainerScript is what a drainer process is told to do.
type drainerScript struct {
	Name, NATS, Mongo, Database string
	Batch                       int
	Lease                       time.Duration // zero: lease
	Die                         death
}

// drainRows is a drainer process. It ends in order on SIGTERM.
func drainRows(text string) {
	var s drainerScript
	check(json.Unmarshal([]byte(text), &s))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(s.NATS, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	check(err)
	defer nc.Close()
	b, err := natsbus.New(nc, &natsbus.Options{PublishTimeout: patience}) // a late confirmation is none that got lost
	check(err)
	defer b.Close()
	client, err := mongo.Connect(options.Client().ApplyURI(s.Mongo))
	check(err)
	q, err := mongooutbox.New(ctx, client.Database(s.Database).Collection("outbox"), nil)
	check(err)
	plan := s.Die.plan()
	w, err := worker.New("drainers", worker.Over(bustest.Faulty(b, plan), nil), &worker.Options{
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Started: func() { say("ready", s.Name, "") },
	})
	check(err)
	_, err = w.AddDrainer(outboxtest.Faulty(q, plan), &outbox.Options{Lease: cmp.Or(s.Lease, lease), Batch: s.Batch})
	check(err)
	check(w.Run(ctx))
}

// newBox is a rig with an outbox.
func newBox(t *testing.T, r *rig) *mongooutbox.Queue {
	t.Helper()
	r.mongo, r.db = mongotest.URI(t), mongotest.Database(t).Name()
	return openBox(t, r.mongo, r.db, patience)
}

// openBox is an outbox whose calls take no longer than that.
func openBox(t *testing.T, uri, database string, timeout time.Duration) *mongooutbox.Queue {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(timeout / 2))
	must(t, err)
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	q, err := mongooutbox.New(t.Context(), client.Database(database).Collection("outbox"), &mongooutbox.Options{Timeout: timeout})
	must(t, err)
	return q
}

// drainer starts a drainer process, and returns once it runs or is gone.
func (r *rig) drainer(name string, s drainerScript) *process {
	r.t.Helper()
	s.Name, s.NATS, s.Mongo, s.Database = name, r.url, r.mongo, r.db
	return r.spawn(name, drainerEnv, s)
}

// drain runs a drainer in the test's own process until the test ends.
func (r *rig) drain(q outbox.Queue, b *natsbus.Bus, o *outbox.Options) *outbox.Drainer {
	r.t.Helper()
	o.Logger, o.Lease = slog.New(slog.DiscardHandler), lease
	d, err := outbox.NewDrainer(q, b, o)
	must(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	return d
}
