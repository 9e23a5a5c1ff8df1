package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker"
)

// TestMain is also a server, and a worker process: a right one, or one that breaks the promise in
// its way.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if work, ok := processes[os.Args[1]]; ok {
			if err := work(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(worker.ExitStatus(err))
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

var processes = map[string]func() error{
	"serve": func() error { return testbed.Serve(context.Background(), os.Stdin, os.Stdout, os.Stderr) },
	"work":  func() error { return Work(context.Background(), os.Stdin, os.Stderr) },
	// idle drains when it is told to.
	"idle": func() error {
		ctx, err := testbed.ReadAssignment(context.Background(), os.Stdin, &testbed.Bed{})
		if err == nil {
			<-ctx.Done()
		}
		return err
	},
	// hasty acknowledges before it has made the effect.
	"hasty": as(variant{over: func(ctx context.Context, c *worker.Connections) (*worker.Connections, error) {
		store, err := c.Store(ctx)
		return worker.Over(hastyBus{c.Bus()}, store), err
	}}),
	// forgetful knows nothing of the marks of other processes.
	"forgetful": as(variant{over: func(_ context.Context, c *worker.Connections) (*worker.Connections, error) {
		own, err := memdedupe.New(nil)
		return worker.Over(c.Bus(), own), err
	}}),
	// amnesiac has a store that answers OK to marks, and keeps none.
	"amnesiac": as(variant{over: func(ctx context.Context, c *worker.Connections) (*worker.Connections, error) {
		store, err := c.Store(ctx)
		if err != nil {
			return nil, err
		}
		kv, ok := store.(*kvdedupe.Store)
		if !ok {
			return nil, fmt.Errorf("a %T is no key-value store", store)
		}
		return worker.Over(c.Bus(), amnesiacStore{kv}), nil
	}}),
	// disorderly knows no keys.
	"disorderly": as(variant{adjust: func(o *consumer.Options) {
		o.OrderKey = func(bus.Event) string { return "" }
	}}),
	// overtaking starts the events of a key in another order than they lie in.
	"overtaking": as(variant{adjust: func(o *consumer.Options) {
		noteArrived := o.OrderKey
		o.OrderKey = func(e bus.Event) string { noteArrived(e); return "" }
		o.Use = append(o.Use, oneOfAKey)
	}}),
	// selfish works on the topic although it is another process's.
	"selfish": as(variant{adjust: func(o *consumer.Options) { o.Order = consumer.ByKey }}),
	// sleepy are workers of which the first one fetches nothing any more after a while.
	"sleepy": as(variant{over: func(ctx context.Context, c *worker.Connections) (*worker.Connections, error) {
		store, err := c.Store(ctx)
		if err != nil {
			return nil, err
		}
		js, err := jetstream.New(c.NATS())
		if err != nil {
			return nil, err
		}
		config := jetstream.StreamConfig{Name: "sleepy", Subjects: []string{"sleepy"}, Description: "of process " + processID()}
		if _, err := js.CreateStream(ctx, config); err != nil { // it is another one's
			return worker.Over(c.Bus(), store), nil
		}
		return worker.Over(sleepyBus{c.Bus()}, store), nil
	}}),
	// impatient gives events up at their first failure.
	"impatient": as(variant{adjust: func(o *consumer.Options) { o.MaxAttempts = 1 }}),
	// lazy starts no handler.
	"lazy": as(variant{adjust: func(o *consumer.Options) { o.Limit = closedLimit{} }}),
	// clumsy ends by itself a while after its first event.
	"clumsy": as(variant{adjust: func(o *consumer.Options) {
		var first sync.Once
		o.OrderKey = func(e bus.Event) string {
			first.Do(func() { time.AfterFunc(time.Second, func() { panic("stumbled") }) })
			return e.Key
		}
	}}),
}

func as(v variant) func() error {
	return func() error { return workAs(context.Background(), os.Stdin, os.Stderr, v) }
}

// oneOfAKey runs one event of a key at a time, in any order.
func oneOfAKey(h consumer.Handler) consumer.Handler {
	var mu sync.Mutex
	keys := make(map[string]*sync.Mutex)
	return func(ctx context.Context, e bus.Event) error {
		mu.Lock()
		key := keys[e.Key]
		if key == nil {
			key = new(sync.Mutex)
			keys[e.Key] = key
		}
		mu.Unlock()
		time.Sleep(rand.N(20 * time.Millisecond))
		key.Lock()
		defer key.Unlock()
		return h(ctx, e)
	}
}

type sleepyBus struct{ bus.Bus }

func (b sleepyBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return sleepySource{s, time.Now().Add(time.Second)}, err
}

type sleepySource struct {
	bus.Source

	asleep time.Time
}

func (s sleepySource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	if time.Now().After(s.asleep) { // what is delivered to it is redelivered to others
		time.Sleep(10 * time.Millisecond)
		return nil, ctx.Err()
	}
	return s.Source.Fetch(ctx, most)
}

type closedLimit struct{}

func (closedLimit) Allow(context.Context, string, int) (flow.Decision, error) {
	return flow.Decision{Limit: 1, RetryAfter: time.Hour}, nil
}

type amnesiacStore struct{ *kvdedupe.Store }

func (s amnesiacStore) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	errs := make([]error, len(ss))
	for i, one := range ss {
		if one.Outcome == dedupe.Succeeded {
			continue
		}
		each, err := s.Store.Settle(ctx, ss[i:i+1])
		if err != nil {
			return nil, err
		}
		errs[i] = each[0]
	}
	return errs, nil
}

type hastyBus struct{ bus.Bus }

func (b hastyBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return hastySource{s}, err
}

type hastySource struct{ bus.Source }

func (s hastySource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, most)
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
