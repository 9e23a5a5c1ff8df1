package replay_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// harness is a bus, and groups that count what they handle, each with a store of its own.
type harness struct {
	t      *testing.T
	bus    *membus.Bus
	stores map[string]*memdedupe.Store

	mu      sync.Mutex
	failing map[string]bool
	handled map[string]int // successes by group and id
}

func inBubble(t *testing.T, f func(w *harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := membus.New(nil)
		must(t, err)
		f(&harness{t: t, bus: b, stores: map[string]*memdedupe.Store{}, failing: map[string]bool{}, handled: map[string]int{}})
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// subscribe starts a group, whose events all fail for good that are in failing.
func (w *harness) subscribe(group string, from bus.Start) *consumer.Subscription {
	w.t.Helper()
	if w.stores[group] == nil {
		store, err := memdedupe.New(nil)
		must(w.t, err)
		w.stores[group] = store
	}
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, topic, group, w.stores[group], func(_ context.Context, e bus.Event) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.failing[e.ID] {
			return consumer.Permanent(errors.New("no"))
		}
		w.handled[group+" "+e.ID]++
		return nil
	}, &consumer.Options{From: from, Logger: slog.New(slog.DiscardHandler)})
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, s.Drain(context.Background())) })
	return s
}

// settle gives all groups time to do what there is to do.
func (w *harness) settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

// wantHandled wants the group to have handled so many events, each so often.
func (w *harness) wantHandled(group string, events []bus.Event, times int) {
	w.t.Helper()
	w.settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		if n := w.handled[group+" "+e.ID]; n != times {
			w.t.Errorf("group %q handled event %q %d times; want %d", group, e.ID, n, times)
		}
	}
}

// readAll returns the events on a topic.
func readAll(t testing.TB, b bus.Reader, topic string) (all []bus.Stored) {
	t.Helper()
	for s, err := range b.Read(t.Context(), topic, bus.Range{}) {
		must(t, err)
		all = append(all, s)
	}
	return all
}

// hooked is a bus whose Publish is another one.
type hooked struct {
	*membus.Bus

	publish func(ctx context.Context, events []bus.Event) ([]bus.Receipt, error)
}

func (b *hooked) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	return b.publish(ctx, events)
}
