package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a bus, a store and a handler, in a bubble with its own time.
type harness struct {
	t     *testing.T
	bus   *membus.Bus
	store dedupe.Store

	mu   sync.Mutex
	runs []consumer.Attempt // one per start of a handler
	at   []time.Time
}

// inBubble runs a test in a bubble. The world's bus has one stream for every topic.
func inBubble(t *testing.T, f func(w *harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := membus.New(nil)
		must(t, err)
		s, err := memdedupe.New(nil)
		must(t, err)
		f(&harness{t: t, bus: b, store: s})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *harness) publish(es ...bus.Event) {
	w.t.Helper()
	_, err := w.bus.Publish(w.t.Context(), es...)
	must(w.t, err)
}

// again publishes an event so often that the bus's own window cannot hide it.
func (w *harness) again(e bus.Event, times int) {
	w.t.Helper()
	for i := range times {
		w.publish(e.WithControl(bus.Control{Redriven: fmt.Sprint(i)}))
	}
}

func order(id string) bus.Event {
	return bus.Event{ID: id, Topic: "order.placed", Data: []byte(`{"cents":5}`)}
}

// record wraps a handler so that its starts are counted.
func (w *harness) record(h consumer.Handler) consumer.Handler {
	return func(ctx context.Context, e bus.Event) error {
		w.mu.Lock()
		w.runs = append(w.runs, consumer.AttemptFrom(ctx))
		w.at = append(w.at, time.Now())
		w.mu.Unlock()
		return h(ctx, e)
	}
}

func (w *harness) starts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs)
}

func (w *harness) startedAt() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Time(nil), w.at...)
}

// subscribe drains at the end of the test, if the test has not.
func (w *harness) subscribe(h consumer.Handler, o *consumer.Options) *consumer.Subscription {
	w.t.Helper()
	opts := consumer.Options{}
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", "billing", w.store, w.record(h), &opts)
	must(w.t, err)
	w.t.Cleanup(func() { _ = s.Drain(context.Background()) })
	return s
}

func (w *harness) drain(s *consumer.Subscription) {
	w.t.Helper()
	must(w.t, s.Drain(context.Background()))
}

// letters are the dead letters of the group.
func (w *harness) letters() []*consumer.Letter {
	w.t.Helper()
	s, err := w.bus.Subscribe(w.t.Context(), "dead.>", "inspector", nil)
	must(w.t, err)
	ds, err := s.(*membus.Source).TryFetch(1000)
	must(w.t, err)
	out := make([]*consumer.Letter, len(ds))
	for i, d := range ds {
		out[i], err = consumer.ParseLetter(d.Event)
		must(w.t, err)
	}
	return out
}

func nothing(context.Context, bus.Event) error { return nil }
