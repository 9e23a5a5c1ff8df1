package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// batchLog notes the batches that a handler was called with, and what was observed.
type batchLog struct {
	mu       sync.Mutex
	calls    [][]string // ids
	ends     []consumer.BatchRun
	attempts map[string][]int    // by id, of the calls
	keys     map[string][]string // idempotency keys, by id
	outcomes map[string][]consumer.Outcome
}

func newBatchLog() *batchLog {
	return &batchLog{attempts: map[string][]int{}, keys: map[string][]string{}, outcomes: map[string][]consumer.Outcome{}}
}

func (l *batchLog) note(ctx context.Context, es []bus.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, len(es))
	for i, a := range consumer.BatchAttempts(ctx) {
		ids[i] = es[i].ID
		l.attempts[es[i].ID] = append(l.attempts[es[i].ID], a.Number)
		l.keys[es[i].ID] = append(l.keys[es[i].ID], a.IdempotencyKey)
	}
	l.calls = append(l.calls, ids)
}

func (l *batchLog) Observe(o consumer.Observation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[o.Key.ID] = append(l.outcomes[o.Key.ID], o.Outcome)
}

func (l *batchLog) ObserveBatch(r consumer.BatchRun) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, r)
}

// sizes are the sizes of the batches, in the order of their calls.
func (l *batchLog) sizes() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int, len(l.calls))
	for i, c := range l.calls {
		out[i] = len(c)
	}
	return out
}

// endings are how batches ended, each once, sorted.
func (l *batchLog) endings() []consumer.BatchEnd {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[consumer.BatchEnd]bool{}
	for _, r := range l.ends {
		found[r.End] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// ended are the outcomes of an event.
func (l *batchLog) ended(id string) []consumer.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.outcomes[id])
}

// batches subscribes a handler of Batch, whose calls are noted.
func (w *harness) batches(l *batchLog, h consumer.BatchHandler, bo *consumer.BatchOptions, o *consumer.Options) *consumer.Subscription {
	w.t.Helper()
	opts := *o
	opts.Observer, opts.Logger = consumer.Observers(opts.Observer, l), quiet
	noted := func(ctx context.Context, es []bus.Event) []error {
		l.note(ctx, es)
		return h(ctx, es)
	}
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", "billing", w.store, consumer.Batch(noted, bo), &opts)
	must(w.t, err)
	w.t.Cleanup(func() { _ = s.Drain(context.Background()) })
	return s
}

func (w *harness) orders(n int) {
	w.t.Helper()
	es := make([]bus.Event, n)
	for i := range es {
		es[i] = order(fmt.Sprintf("%04d", i))
	}
	w.publish(es...)
}

// pass lets time go by, until nothing happens any more at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func allDone(context.Context, []bus.Event) []error { return nil }

// wantOutcomes wants each of n events to have had these outcomes, and no others.
func wantOutcomes(t *testing.T, l *batchLog, n int, want ...consumer.Outcome) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("%04d", i)
		if got := l.ended(id); !slices.Equal(got, want) {
			t.Errorf("event %s ended as %v, want %v", id, got, want)
		}
	}
}

func TestBatchHasEventsInTheOrderOfTheStreamAndEachIsMarked(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(1000)
		l := newBatchLog()
		w.batches(l, allDone, &consumer.BatchOptions{Size: 100}, &consumer.Options{Concurrency: 100})
		synctest.Wait()
		pass(time.Minute)
		wantOutcomes(t, l, 1000, consumer.OutcomeHandled)
		if n := len(l.sizes()); n > 20 { // 1000 / 100 at best
			t.Errorf("%d batches for 1000 events: %v", n, l.sizes())
		}
		for _, ids := range l.calls {
			if !slices.IsSorted(ids) {
				t.Errorf("a batch is not in the order of the stream: %v", ids)
			}
		}
	})
}

// Every slot runs: as many events are in a handler at once as Options.Concurrency says.
func TestConcurrencyIsHowManyRunAtOnceAlsoWhenItIsLarge(t *testing.T) {
	for _, n := range []int{100, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.orders(2 * n)
				l := newBatchLog()
				w.batches(l, allDone, &consumer.BatchOptions{Size: n, Wait: time.Minute}, &consumer.Options{Concurrency: n})
				pass(10 * time.Second) // less than Wait
				if got := l.sizes(); !slices.Equal(got, []int{n, n}) {
					t.Errorf("batches of %v, want two of %d", got, n)
				}
				wantOutcomes(t, l, 2*n, consumer.OutcomeHandled)
			})
		})
	}
}

func TestBatchEnds(t *testing.T) {
	large := consumer.BatchOptions{Size: 10, Wait: time.Hour}
	for end, c := range map[consumer.BatchEnd]struct {
		events, data int
		o            consumer.BatchOptions
		concurrency  int
		do           func(*consumer.Subscription)
		sizes        []int
	}{
		consumer.BatchEndSize:  {events: 6, o: consumer.BatchOptions{Size: 3, Wait: time.Hour}, concurrency: 6, sizes: []int{3, 3}},
		consumer.BatchEndWait:  {events: 4, o: consumer.BatchOptions{Size: 10, Wait: time.Second}, concurrency: 10, sizes: []int{4}},
		consumer.BatchEndBytes: {events: 4, data: 100, o: consumer.BatchOptions{Size: 10, Bytes: 200, Wait: time.Hour}, concurrency: 10, sizes: []int{2, 2}},
		consumer.BatchEndPaused: {events: 4, o: large, concurrency: 10, sizes: []int{4}, do: func(s *consumer.Subscription) {
			s.Pause()
		}},
		consumer.BatchEndDraining: {events: 4, o: large, concurrency: 10, sizes: []int{4}, do: func(s *consumer.Subscription) {
			go s.Drain(context.Background())
		}},
	} {
		t.Run(string(end), func(t *testing.T) {
			inBubble(t, func(w *harness) {
				for i := range c.events {
					e := order(fmt.Sprintf("%04d", i))
					e.Data = append(e.Data, strings.Repeat(" ", max(0, c.data-len(e.Data)))...)
					w.publish(e)
				}
				l := newBatchLog()
				s := w.batches(l, allDone, &c.o, &consumer.Options{Concurrency: c.concurrency, RunLimit: 2 * time.Hour})
				synctest.Wait()
				if c.do != nil {
					if got := l.sizes(); len(got) > 0 {
						t.Fatalf("batches of %v before anything has ended them", got)
					}
					c.do(s)
				}
				pass(10 * time.Second)
				if got := l.sizes(); !slices.Equal(got, c.sizes) {
					t.Errorf("batches of %v, want %v", got, c.sizes)
				}
				if got := l.endings(); !slices.Equal(got, []consumer.BatchEnd{end}) {
					t.Errorf("batches ended by %v, want %s", got, end)
				}
				wantOutcomes(t, l, c.events, consumer.OutcomeHandled)
			})
		})
	}
}

// An event that does not fit into a batch is in the next one.
func TestBatchHasNoMoreThanItsBytes(t *testing.T) {
	inBubble(t, func(w *harness) {
		for i := range 3 {
			e := order(fmt.Sprintf("%04d", i))
			e.Data = []byte(strings.Repeat(" ", 100))
			w.publish(e)
		}
		l := newBatchLog()
		w.batches(l, allDone, &consumer.BatchOptions{Size: 10, Bytes: 250, Wait: time.Second}, &consumer.Options{Concurrency: 10})
		pass(time.Minute)
		if got := l.sizes(); !slices.Equal(got, []int{2, 1}) || l.ends[0].Bytes != 200 || l.ends[0].End != consumer.BatchEndBytes {
			t.Errorf("batches of %v, want 2 and 1: %+v", got, l.ends)
		}
	})
}

// While a receiver throttles, fewer handlers are started. A batch does not wait for more than can
// come.
func TestBatchEndsWhenEverySlotThatMayBeBusyWaitsInIt(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(64)
		l := newBatchLog()
		var throttled atomic.Bool
		w.batches(l, func(context.Context, []bus.Event) []error {
			if !throttled.Swap(true) {
				return consumer.FailBatch(consumer.Throttled(time.Millisecond, errors.New("slow down")))
			}
			return nil
		}, &consumer.BatchOptions{Size: 16, Wait: time.Hour}, &consumer.Options{Concurrency: 16, RunLimit: 2 * time.Hour})
		pass(10 * time.Minute) // far less than Wait
		sizes := l.sizes()
		if len(sizes) < 3 || sizes[0] != 16 || sizes[1] >= 16 || l.ends[1].End != consumer.BatchEndSlots {
			t.Errorf("batches of %v, want smaller ones after the first: %v", sizes, l.ends)
		}
	})
}

// A key has one event at a time in a batch: the next one is in a later batch.
func TestBatchHasOneEventOfAKey(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.keyed("a", 3)
		w.keyed("b", 3)
		l := newBatchLog()
		w.batches(l, allDone, &consumer.BatchOptions{Size: 6}, &consumer.Options{Concurrency: 6})
		pass(time.Minute)
		want := [][]string{{"a-000000", "b-000000"}, {"a-000001", "b-000001"}, {"a-000002", "b-000002"}}
		if !slices.EqualFunc(l.calls, want, slices.Equal[[]string]) {
			t.Errorf("batches of %v, want %v", l.calls, want)
		}
	})
}
