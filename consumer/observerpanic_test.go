package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
)

// panicking is an observer that panics with all that it is told.
type panicking struct{ *spy }

func (o panicking) Observe(n consumer.Observation) {
	o.spy.Observe(n)
	panic("Observe")
}

func (o panicking) ObserveAnswer(at bus.Position, err error) {
	o.spy.ObserveAnswer(at, err)
	panic("ObserveAnswer")
}

func (o panicking) ObserveStoreCall(c consumer.StoreCall) {
	o.spy.ObserveStoreCall(c)
	panic("ObserveStoreCall")
}

func (o panicking) ObserveFetch(f consumer.Fetch) {
	o.spy.ObserveFetch(f)
	panic("ObserveFetch")
}

func (o panicking) ObserveWatermark(at bus.Position) {
	o.spy.ObserveWatermark(at)
	panic("ObserveWatermark")
}

func (o panicking) ObservePause(by []string) {
	o.spy.ObservePause(by)
	panic("ObservePause")
}

func (o panicking) ObserveLimitWait(d time.Duration, started bool) {
	o.spy.ObserveLimitWait(d, started)
	panic("ObserveLimitWait")
}

func (o panicking) ObserveCapacity(gate int, c flow.Capacity) {
	o.spy.ObserveCapacity(gate, c)
	panic("ObserveCapacity")
}

// TestPanicsOfObserversChangeNothing: the process lives on, events end as they would, in a
// transaction too, and the other observers are told.
func TestPanicsOfObserversChangeNothing(t *testing.T) {
	for name, mode := range map[string]consumer.Mode{"claimed": consumer.Claimed, "seen and mark": consumer.SeenMark, "transactional": consumer.Transactional} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				if mode == consumer.Transactional {
					w.store = &transactor{Store: w.store.(*memdedupe.Store)}
				}
				bad, good := panicking{&spy{}}, &spy{}
				var log syncBuffer
				w.publish(order("a"), order("b"), order("poison"))
				s := w.subscribe(func(_ context.Context, e bus.Event) error {
					if e.ID == "poison" {
						return consumer.Permanent(errors.New("never"))
					}
					return nil
				}, &consumer.Options{
					Observer: consumer.Observers(bad, good), Mode: mode, Concurrency: 1, Gates: []flow.Gate{newValve(5)}, Limit: newSpaced(time.Second),
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				time.Sleep(30 * time.Second)
				s.Pause()
				w.drain(s)
				if n := s.Stats(); n.Handled != 2 || n.Dead != 1 || n.Failed != 0 || n.Duplicates != 0 {
					t.Errorf("%+v, want 2 handled and 1 dead", n)
				}
				for _, kind := range []string{"ended", "answer", "fetch", "watermark", "pause", "limit", "capacity"} {
					if bad.of(kind) != good.of(kind) || good.of(kind) == "" && kind != "pause" {
						t.Errorf("told of %s: %s and %s", kind, bad.of(kind), good.of(kind))
					}
				}
				if got, want := bad.operations(), good.operations(); len(want) == 0 || !maps.Equal(got, want) {
					t.Errorf("told of calls of the store: %v and %v", got, want)
				}
				if n := strings.Count(log.String(), "an observer panicked"); n != 1 {
					t.Errorf("logged %d times in half a minute, want once", n)
				}
			})
		})
	}
}
