package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// keyed publishes n events of a key, with ids that sort in their order.
func (w *harness) keyed(key string, n int) {
	w.t.Helper()
	es := make([]bus.Event, n)
	for i := range es {
		es[i] = order(fmt.Sprintf("%s-%06d", key, i))
		es[i].Key = key
	}
	w.publish(es...)
}

// inOrder remembers which events were handled, by key.
type inOrder struct {
	mu   sync.Mutex
	keys map[string][]string
}

func (o *inOrder) handled(e bus.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys == nil {
		o.keys = make(map[string][]string)
	}
	o.keys[e.Key] = append(o.keys[e.Key], e.ID)
}

func (o *inOrder) count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.keys[key])
}

// check wants so many events of each key, each once and in their order.
func (o *inOrder) check(t *testing.T, keys, each int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.keys) != keys {
		t.Errorf("events of %d keys were handled, want %d", len(o.keys), keys)
	}
	for key, ids := range o.keys {
		if unique := slices.Compact(slices.Clone(ids)); len(ids) != each || len(unique) != each || !slices.IsSorted(ids) {
			t.Errorf("key %q: %d events handled, want %d, each once and in order", key, len(ids), each)
		}
	}
}

// A backlog of one key is handled in order, also when its first event fails while more wait than
// are let in; other keys go beside it.
func TestKeyedBacklogIsHandledWhenItsHeadFails(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.keyed("hot", 12_000)
		w.keyed("other", 20)
		var o inOrder
		var failed atomic.Bool
		w.subscribe(func(_ context.Context, e bus.Event) error {
			if e.ID == "hot-000000" && !failed.Swap(true) {
				return consumer.RetryAfter(time.Minute, errors.New("not yet"))
			}
			o.handled(e)
			return nil
		}, nil)
		time.Sleep(10 * time.Minute)
		if n := o.count("other"); n != 20 {
			t.Errorf("%d of 20 events of the other key are handled", n)
		}
		o.mu.Lock()
		delete(o.keys, "other")
		o.mu.Unlock()
		o.check(t, 1, 12_000)
	})
}

// An outage of what the handler calls leaves nothing of a keyed backlog behind, and
// changes no order.
func TestKeyedBacklogOutlastsAnOutage(t *testing.T) {
	inBubble(t, func(w *harness) {
		const keys, each = 50, 40
		for k := range keys {
			w.keyed(fmt.Sprint("k", k), each)
		}
		began := time.Now()
		var o inOrder
		w.subscribe(func(_ context.Context, e bus.Event) error {
			if time.Since(began) < 30*time.Second {
				return errors.New("away")
			}
			o.handled(e)
			return nil
		}, &consumer.Options{MaxAttempts: 1000}) // with full jitter ten may all fall into the outage
		time.Sleep(20 * time.Minute)
		o.check(t, keys, each)
	})
}

// What a dead process has leased of a key holds up nobody for good.
func TestKeyedBacklogOutlivesADeadProcess(t *testing.T) {
	inBubble(t, func(w *harness) {
		_, err := w.store.(dedupe.Claimer).Claim(w.t.Context(), []dedupe.Request{{
			Key: dedupe.Key{Topic: "order.placed", Group: "billing", ID: "k-000000"}, Nonce: "dead", Lease: time.Minute, TTL: time.Hour,
		}})
		must(t, err)
		w.keyed("k", 3000)
		s := w.subscribe(nothing, nil)
		time.Sleep(5 * time.Minute)
		if st := s.Stats(); st.Handled != 3000 {
			t.Errorf("%d of 3000 handled: %+v", st.Handled, st)
		}
	})
}

// A key whose events take long keeps no other key's events waiting beside idle slots.
func TestHotKeyDoesNotStarveOthers(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.keyed("hot", 700)
		for i := range 20 {
			w.keyed(fmt.Sprint("cold", i), 1)
		}
		w.keyed("hot again", 1300)
		began, latest := time.Now(), time.Duration(0)
		var mu sync.Mutex
		w.subscribe(func(_ context.Context, e bus.Event) error {
			if len(e.Key) > 4 && e.Key[:4] == "cold" {
				mu.Lock()
				latest = max(latest, time.Since(began))
				mu.Unlock()
				return nil
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}, nil)
		time.Sleep(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if latest == 0 || latest > 5*time.Second {
			t.Errorf("the last event of another key was handled after %v, with 14 slots idle", latest)
		}
	})
}

// pausedBus hands out nothing while it is paused, as a consumer that somebody has paused, or a bus
// that is away.
type pausedBus struct {
	bus.Bus
	paused *atomic.Bool
}

func (b pausedBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return pausedSource{s, b.paused}, err
}

type pausedSource struct {
	bus.Source
	paused *atomic.Bool
}

func (s pausedSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	if s.paused.Load() {
		time.Sleep(time.Second)
		return nil, nil
	}
	return s.Source.Fetch(ctx, most)
}

// A bus that delivers nothing for longer than every deadline, while the first event of a key backs
// off, does not let the next one go ahead: the process says that it waits, and goes on in order.
func TestOrderOutlastsABusThatIsAway(t *testing.T) {
	inBubble(t, func(w *harness) {
		var paused, failed atomic.Bool
		var o inOrder
		w.keyed("k", 3)
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), pausedBus{w.bus, &paused}, "order.*", "billing", w.store,
			func(_ context.Context, e bus.Event) error {
				if e.ID == "k-000000" && !failed.Swap(true) {
					paused.Store(true)
					return consumer.RetryAfter(2*time.Second, errors.New("not yet"))
				}
				o.handled(e)
				return nil
			}, nil)
		must(t, err)
		time.Sleep(10 * time.Minute)
		if n := o.count("k"); n != 0 {
			t.Errorf("%d events went ahead of the first one", n)
		}
		if s.Healthy() == nil {
			t.Error("healthy, though events wait for one that does not come")
		}
		paused.Store(false)
		time.Sleep(time.Minute)
		if err := s.Healthy(); err != nil {
			t.Error(err)
		}
		w.drain(s)
		o.check(t, 1, 3)
	})
}

// slowMarks is a store that takes its time for settlements.
type slowMarks struct {
	allStore
	takes time.Duration
}

type allStore interface {
	dedupe.Store
	dedupe.Claimer
}

func (s slowMarks) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	select {
	case <-time.After(s.takes):
		return s.allStore.Settle(ctx, ss)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A store that needs most of a lease for each call is waited for.
func TestMarksOfASlowStoreAreStored(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.store = slowMarks{w.store.(allStore), 3 * time.Second}
		var effects atomic.Int64
		s := w.subscribe(func(context.Context, bus.Event) error {
			effects.Add(1)
			return nil
		}, &consumer.Options{Lease: 4 * time.Second, AckWait: 4 * time.Second})
		for i := range 50 {
			w.publish(order(fmt.Sprint(i)))
		}
		time.Sleep(10 * time.Minute)
		if st := s.Stats(); effects.Load() != 50 || st.Handled != 50 {
			t.Errorf("%d effects, stats %+v", effects.Load(), st)
		}
	})
}

// At no time have more effects been made than are marked, but for as many as Options.MaxUnmarked
// allows: so much a crash repeats.
func TestCrashRepeatsAtMostWhatIsUnmarked(t *testing.T) {
	for _, c := range []struct{ concurrency, unmarked, want int }{{1, 0, 1}, {16, 0, 16}, {4, 40, 40}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			inBubble(t, func(w *harness) {
				for i := range 500 {
					w.publish(order(fmt.Sprint(i)))
				}
				w.store = slowMarks{w.store.(allStore), 50 * time.Millisecond}
				var effects, most atomic.Int64
				var s atomic.Pointer[consumer.Subscription]
				s.Store(w.subscribe(func(context.Context, bus.Event) error {
					time.Sleep(time.Millisecond)
					if made, sub := effects.Add(1), s.Load(); sub != nil {
						most.Store(max(most.Load(), made-int64(sub.Stats().Handled)))
					}
					return nil
				}, &consumer.Options{Concurrency: c.concurrency, MaxUnmarked: c.unmarked}))
				time.Sleep(5 * time.Minute)
				if effects.Load() != 500 || most.Load() > int64(c.want) || most.Load() < int64(c.want)/2 {
					t.Errorf("%d effects, at most %d of them unmarked, want 500 and at most %d", effects.Load(), most.Load(), c.want)
				}
			})
		})
	}
}
