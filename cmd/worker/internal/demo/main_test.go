package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker"
)

// TestMain is also a worker process: a right one, or one that breaks the promise in its way.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if work, ok := workers[os.Args[1]]; ok {
			if err := work(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

var workers = map[string]func() error{
	"work": func() error { return Work(context.Background(), os.Stdin, os.Stderr) },
	// hasty acknowledges before it has made the effect.
	"hasty": func() error {
		return workOver(func(ctx context.Context, s *demoConnections) (*worker.Connections, effectFunc, error) {
			store, err := s.Store(ctx)
			return worker.Over(hastyBus{s.Bus()}, store), s.effectFunc(), err
		})
	},
	// forgetful knows nothing of the marks of other processes.
	"forgetful": func() error {
		own, err := memdedupe.New(nil)
		if err != nil {
			return err
		}
		return workOver(func(_ context.Context, s *demoConnections) (*worker.Connections, effectFunc, error) {
			return worker.Over(s.Bus(), own), s.effectFunc(), nil
		})
	},
	// unmarked is forgetful, and changes documents without a mark.
	"unmarked": func() error {
		own, err := memdedupe.New(nil)
		if err != nil {
			return err
		}
		return workOver(func(_ context.Context, s *demoConnections) (*worker.Connections, effectFunc, error) {
			return worker.Over(s.Bus(), own), func(ctx context.Context, id string) (string, error) {
				_, err := s.documents.coll.UpdateByID(ctx, id, addOne(), options.UpdateOne().SetUpsert(true))
				return journal.Effect, err
			}, nil
		})
	},
	// lazy does nothing.
	"lazy": func() error {
		_, err := io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		return err
	},
	// clumsy ends by itself.
	"clumsy": func() error { return fmt.Errorf("stumbled") },
}

// workOver is Work with another bus or store for the consumer.
func workOver(over func(context.Context, *demoConnections) (*worker.Connections, effectFunc, error)) error {
	var a workerAssignment
	ctx, err := testbed.ReadAssignment(context.Background(), os.Stdin, &a)
	if err != nil {
		return err
	}
	s, err := a.connect(ctx, workLogger(os.Stderr))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	c, change, err := over(ctx, s)
	if err != nil {
		return err
	}
	return consumeUntilEnd(ctx, &a, c, change, workLogger(os.Stderr))
}

type hastyBus struct{ bus.Bus }

func (b hastyBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return hastySource{s}, err
}

type hastySource struct{ bus.Source }

func (s hastySource) Fetch(ctx context.Context, max int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, max)
	for i, d := range ds {
		_ = d.Ack(ctx)
		ds[i] = bus.NewDelivery(d.Event, d.Arrivals, d.At, settled{})
	}
	return ds, err
}

type settled struct{}

func (settled) Answer(context.Context, bus.Answer) error { return nil }
func (settled) Extend(context.Context) error             { return nil }

var _ bus.Answerer = settled{}

// soon is longer than anything takes that ends.
const soon = 5 * time.Minute
