package deferral_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// summary is one call of the handler of summaries.
type summary struct {
	key string
	ids []string
	at  time.Time
}

// world is a bus, a store, and what became of events.
type world struct {
	t     testing.TB
	bus   *membus.Bus
	store *memdedupe.Store

	mu        sync.Mutex
	immediate []string // ids, in their order
	summaries []summary
	outcomes  map[deferral.Outcome]int
	observed  []deferral.Observation
}

func newWorld(t testing.TB) *world {
	t.Helper()
	b, err := membus.New(nil)
	must(t, err)
	s, err := memdedupe.New(nil)
	must(t, err)
	return &world{t: t, bus: b, store: s, outcomes: make(map[deferral.Outcome]int)}
}

func inBubble(t *testing.T, f func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// ObserveDeferral implements deferral.Observer.
func (w *world) ObserveDeferral(o deferral.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[o.Outcome] += max(1, o.Events)
	w.observed = append(w.observed, o)
}

func (w *world) count(o deferral.Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[o]
}

// run is the handler of what runs at once, sum that of summaries.
func (w *world) run(_ context.Context, e bus.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.immediate = append(w.immediate, e.ID)
	return nil
}

func (w *world) sum(_ context.Context, key string, events []bus.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := summary{key: key, at: time.Now()}
	for _, e := range events {
		s.ids = append(s.ids, e.ID)
	}
	w.summaries = append(w.summaries, s)
	return nil
}

func (w *world) runs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.immediate)
}

func (w *world) sums() []summary {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.summaries)
}

// perMinute is a configuration of so many events of a key in a minute, and a summary each 30 s.
func perMinute(limit int) deferral.Config {
	return deferral.Config{Rate: flow.Rate{Limit: limit, Per: time.Minute, Strategy: flow.FixedWindow}}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// worker is a process: a subscription that defers, and a tracker.
type worker struct {
	*deferral.Tracker

	sub       *consumer.Subscription
	summaries *consumer.Subscription // to the topic of deferred events
	stop      func() error
}

type workerOptions struct {
	bus      bus.Bus
	store    dedupe.Store
	handler  consumer.Handler
	sum      deferral.Handler
	options  *deferral.Options
	consumer consumer.Options
}

// work starts a worker. It is stopped at the end of the test, if the test has not.
func (w *world) work(c deferral.Config, o workerOptions) *worker {
	w.t.Helper()
	if o.bus == nil {
		o.bus, o.store = w.bus, w.store
	}
	if o.handler == nil {
		o.handler = w.run
	}
	if o.sum == nil {
		o.sum = w.sum
	}
	opts := deferral.Options{}
	if o.options != nil {
		opts = *o.options
	}
	opts.Observer, opts.Logger = w, discard()
	ctx, cancel := context.WithCancel(context.Background())
	tracker, err := deferral.Open(ctx, o.bus, o.store, "billing", c, o.sum, &opts)
	must(w.t, err)
	o.consumer.Logger = discard()
	must(w.t, tracker.Apply(&o.consumer))
	sub, err := consumer.SubscribeExactlyOnce(ctx, o.bus, "order.*", "billing", o.store, o.handler, &o.consumer)
	must(w.t, err)
	summaries, err := tracker.Start(ctx)
	must(w.t, err)
	p := &worker{Tracker: tracker, sub: sub, summaries: summaries, stop: func() error {
		cancel()
		<-sub.Done()
		<-tracker.Done()
		return summaries.Err()
	}}
	w.t.Cleanup(func() { _ = p.stop() })
	return p
}

func (w *world) publish(es ...bus.Event) {
	w.t.Helper()
	_, err := w.bus.Publish(context.Background(), es...)
	must(w.t, err)
}

// orders are n events of a key, from a number on.
func orders(key string, from, n int) []bus.Event {
	es := make([]bus.Event, n)
	for i := range es {
		es[i] = bus.Event{ID: fmt.Sprintf("%s-%03d", key, from+i), Topic: "order.placed", Key: key, Data: fmt.Appendf(nil, `{"n":%d}`, from+i)}
	}
	return es
}

func ids(es []bus.Event) (all []string) {
	for _, e := range es {
		all = append(all, e.ID)
	}
	return all
}

func wantIDs(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// wantAllAcked wants nothing to be left on the topic of deferred events.
func (p *worker) wantAllAcked(t testing.TB) {
	t.Helper()
	lag, err := p.summaries.Lag(context.Background())
	must(t, err)
	if lag.Pending+lag.Unsettled != 0 {
		t.Errorf("of the deferred events %d are pending and %d unsettled, want none", lag.Pending, lag.Unsettled)
	}
}

func wantNothingLeft(t testing.TB, p *worker) {
	t.Helper()
	if keys, events := p.Waiting(); keys != 0 || events != 0 {
		t.Errorf("%d events of %d keys still wait", events, keys)
	}
}
