package acceptance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/faulty"
)

const (
	workerEnv = "ONCEISH_ACCEPTANCE_WORKER"
	lease     = time.Second
)

// script is what a worker process is told to do.
type script struct {
	Name, NATS, Mongo, Database string
	Topic, Group                string
	Concurrency                 int
	Die                         death
	MaxUnsettled                int           // zero: the default
	Lease                       time.Duration // zero: lease
	Update                      bool          // change documents, before what the event says
}

// death is where a worker process kills itself with SIGKILL: at the Nth call of a kind, before or
// after it was done.
type death struct {
	At    faulty.Call
	After bool
	Nth   int64
}

func (d death) plan() faulty.Plan {
	var n atomic.Int64
	return func(c faulty.Call) faulty.Fault {
		if c != d.At || n.Add(1) < max(d.Nth, 1) {
			return faulty.Fault{}
		}
		if d.After {
			return faulty.Fault{Then: die}
		}
		die()
		return faulty.Fault{}
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// task is the data of an event: what the handler does about it.
type task struct {
	// Steps are done in order: "effect…", "die", "fail", "retry later", "permanent", or a duration
	// to sleep; with "@NAME" in that worker only, with "@NUMBER" in that attempt only.
	Steps []string `json:"steps"`
}

// work is a worker process. It ends in order on SIGTERM.
func work(text string) {
	var s script
	check(json.Unmarshal([]byte(text), &s))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(s.NATS, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	check(err)
	defer nc.Close()
	store, err := openStore(ctx, nc, s.Mongo, s.Database)
	check(err)
	b, err := natsbus.New(nc, &natsbus.Options{MaxUnsettled: s.MaxUnsettled})
	check(err)
	defer b.Close()
	plan := s.Die.plan()
	handle := s.handle
	if s.Update {
		handle = updating(store, s.Mongo, s.Database, handle)
	}
	sub, err := consumer.SubscribeExactlyOnce(ctx, bustest.Faulty(b, plan), s.Topic, s.Group, dedupetest.Faulty(store, plan), handle,
		&consumer.Options{
			Concurrency: s.Concurrency, Lease: cmp.Or(s.Lease, lease), AckWait: lease, Backoff: consumer.Backoff{Base: 10 * time.Millisecond},
			MaxAttempts: 3, DeadLetter: "dead." + s.Group,
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		})
	check(err)
	say("ready", s.Name, "")
	<-sub.Done()
	check(sub.Err())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// openStore opens the MongoDB store if there is a URI, else the key-value store.
func openStore(ctx context.Context, nc *nats.Conn, uri, database string) (dedupetest.Inner, error) {
	if uri == "" {
		return kvdedupe.New(ctx, nc, nil)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, err
	}
	return mongodedupe.New(ctx, client.Database(database).Collection("dedupe"), nil)
}

// handle does what the event's data says.
func (s script) handle(ctx context.Context, e bus.Event) error { return perform(ctx, e, s.Name, say) }

// perform does what the event's data says, and says so.
func perform(ctx context.Context, e bus.Event, who string, say func(what, who, id string)) error {
	var t task
	if err := json.Unmarshal(e.Data, &t); err != nil {
		return consumer.Permanent(err)
	}
	say("start", who, e.ID)
	for _, step := range t.Steps {
		name, only, _ := strings.Cut(step, "@")
		if only != "" && only != who && only != strconv.Itoa(consumer.AttemptFrom(ctx).Number) {
			continue
		}
		if err := take(ctx, name, func(what string) { say(what, who, e.ID) }); err != nil {
			return err
		}
	}
	say("end", who, e.ID)
	return nil
}

func take(ctx context.Context, step string, say func(what string)) error {
	switch {
	case strings.HasPrefix(step, "effect"):
		say(step)
	case step == "die":
		die()
	case step == "fail":
		return errors.New("as told")
	case step == "retry later":
		return consumer.RetryAfter(time.Hour, errors.New("as told"))
	case step == "permanent":
		return consumer.Permanent(errors.New("as told"))
	default:
		d, err := time.ParseDuration(step)
		if err != nil {
			return consumer.Permanent(err)
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			say("cancelled")
			return context.Cause(ctx)
		}
	}
	return nil
}

// journal is the pipe to the test: it is outside of what is tested, and keeps what a killed
// process wrote.
var journal = os.NewFile(3, "journal")

func say(what, who, id string) {
	if _, err := fmt.Fprintf(journal, "%s %s %s\n", what, who, id); err != nil {
		log.Print(err)
	}
}
