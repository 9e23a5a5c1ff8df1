package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/faulty"
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
}

// death is where a worker process kills itself with SIGKILL: at the Nth call of a kind, before or after it was done.
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
	// Steps are done in order: "effect", "die" (in every worker), "die@NAME" (in that one), "fail", "permanent", or a duration to
	// sleep.
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
	b, err := natsbus.New(nc, nil)
	check(err)
	defer b.Close()
	plan := s.Die.plan()
	sub, err := consumer.SubscribeExactlyOnce(ctx, faulty.NewBus(b, plan), s.Topic, s.Group, faulty.NewStore(store, plan), s.handle,
		&consumer.Options{
			Concurrency: s.Concurrency, Lease: lease, AckWait: lease, Backoff: consumer.Backoff{Base: 10 * time.Millisecond},
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
		log.Fatal(err) //nolint:revive // a worker process ends here
	}
}

// openStore opens the MongoDB store if there is a URI, else the key-value store.
func openStore(ctx context.Context, nc *nats.Conn, uri, database string) (faulty.Inner, error) {
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
func (s script) handle(ctx context.Context, e bus.Event) error {
	var t task
	if err := json.Unmarshal(e.Data, &t); err != nil {
		return consumer.Permanent(err)
	}
	say("start", s.Name, e.ID)
	for _, step := range t.Steps {
		switch step {
		case "effect":
			say("effect", s.Name, e.ID)
		case "die", "die@" + s.Name:
			die()
		case "fail":
			return errors.New("as told")
		case "permanent":
			return consumer.Permanent(errors.New("as told"))
		default:
			d, err := time.ParseDuration(step)
			if err != nil && !strings.HasPrefix(step, "die@") {
				return consumer.Permanent(err)
			}
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// journal is the pipe to the test: it is outside of what is tested, and keeps what a killed process wrote.
var journal = os.NewFile(3, "journal")

func say(what, who, id string) {
	if _, err := fmt.Fprintf(journal, "%s %s %s\n", what, who, id); err != nil {
		log.Print(err)
	}
}
