package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestMain is also a worker process, a right one or one that breaks the promise, or a server.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if run, ok := processes[os.Args[1]]; ok {
			if err := run(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

var processes = map[string]func() error{
	"work":   func() error { return Work(context.Background(), os.Stdin, os.Stdout, os.Stderr) },
	"serve":  func() error { return testbed.Serve(context.Background(), os.Stdin, os.Stdout, os.Stderr) },
	"clumsy": func() error { return errors.New("stumbled") },
	// lossy acks an event that it has not run.
	"lossy": func() error {
		var a workerAssignment
		ctx, begun, err := testbed.ReadAssignmentAndWait(context.Background(), os.Stdin, &a)
		if err != nil {
			return err
		}
		conns, err := a.Connect(ctx, leaseLength, workLogger(os.Stderr))
		if err != nil {
			return err
		}
		defer func() { _ = conns.Close() }()
		s, err := openServers(ctx, conns)
		if err != nil {
			return err
		}
		s.bus = lossyBus{s.bus, a.eventID(lostIndex)}
		t, err := runWorker(ctx, &a.cell, s, begun, newStatusWriter(os.Stdout).write, workLogger(os.Stderr))
		if err != nil {
			return err
		}
		return writeTally(a.File, t)
	},
}

// lostIndex is the event that a lossy worker loses.
const lostIndex = 42

type lossyBus struct {
	bus.Bus
	loses string
}

func (b lossyBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return lossySource{s, b.loses}, err
}

type lossySource struct {
	bus.Source
	loses string
}

func (s lossySource) Fetch(ctx context.Context, max int) (kept []*bus.Delivery, err error) {
	ds, err := s.Source.Fetch(ctx, max)
	for _, d := range ds {
		if d.Event.ID == s.loses {
			_ = d.Ack(ctx)
			continue
		}
		kept = append(kept, d)
	}
	return kept, err
}

// onServer are options for a few events on a server.
func onServer(s *natstest.Server) *Options {
	return &Options{NATS: s.URL(), Stage: StageAll, Events: 200, Seed: 1, Command: []string{os.Args[0], "work"}}
}

// inMemory are options for a few events in memory.
func inMemory() *Options { return &Options{Bus: BusMemory, Events: 200, Seed: 1} }

// within bounds what may hang.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// checkRemoved checks that nothing is left on the server but the buckets of all groups.
func checkRemoved(t *testing.T, s *natstest.Server) {
	t.Helper()
	js, err := jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		if name != "KV_onceish-members" && name != "KV_onceish-groups" {
			t.Errorf("the stream %s is left", name)
		}
	}
	if names.Err() != nil {
		t.Error(names.Err())
	}
}

// emptyDatabase is the URI of a database in which a bench is to leave nothing.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	db := mongotest.Database(t)
	t.Cleanup(func() {
		names, err := db.ListCollectionNames(context.Background(), bson.D{})
		if err != nil || len(names) > 0 {
			t.Errorf("the collections %q are left (%v)", names, err)
		}
	})
	uri, options, _ := strings.Cut(mongotest.URI(t), "?")
	scheme, hosts, _ := strings.Cut(uri, "://")
	hosts, _, _ = strings.Cut(hosts, "/")
	if options != "" {
		options = "?" + options
	}
	return scheme + "://" + hosts + "/" + db.Name() + options
}

// onLine is an output that calls f with what is told.
type onLine func(text string)

func (f onLine) Write(text []byte) (int, error) {
	f(string(bytes.TrimSpace(text)))
	return len(text), nil
}
