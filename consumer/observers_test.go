package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
)

// spy notes all that an observer can be told, one line each, by the name of its kind.
type spy struct {
	mu    sync.Mutex
	told  []string
	calls []consumer.StoreCall
}

var (
	_ consumer.Observer          = (*spy)(nil)
	_ consumer.AnswerObserver    = (*spy)(nil)
	_ consumer.StoreObserver     = (*spy)(nil)
	_ consumer.FetchObserver     = (*spy)(nil)
	_ consumer.WatermarkObserver = (*spy)(nil)
	_ consumer.PauseObserver     = (*spy)(nil)
	_ consumer.LimitObserver     = (*spy)(nil)
	_ consumer.CapacityObserver  = (*spy)(nil)
)

func (o *spy) note(kind, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, kind+": "+fmt.Sprintf(format, args...))
}

func (o *spy) Observe(n consumer.Observation) {
	o.note("ended", "%s %s %s", n.Key.ID, n.Outcome, n.Reason)
}

func (o *spy) ObserveAnswer(at bus.Position, err error) { o.note("answer", "%d %v", at.Sequence, err) }

func (o *spy) ObserveFetch(f consumer.Fetch) {
	o.note("fetch", "%d in %v %v", f.Events, f.Took, f.Err)
}
func (o *spy) ObserveWatermark(at bus.Position) { o.note("watermark", "%d", at.Sequence) }
func (o *spy) ObservePause(by []string)         { o.note("pause", "%s", strings.Join(by, "+")) }
func (o *spy) ObserveLimitWait(d time.Duration, started bool) {
	o.note("limit", "%v %t", d, started)
}

func (o *spy) ObserveCapacity(gate int, c flow.Capacity) { o.note("capacity", "%d %d", gate, c.Limit) }

func (o *spy) ObserveStoreCall(c consumer.StoreCall) {
	o.note("store", "%s %d in %v %v", c.Operation, c.Items, c.Took, c.Err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, c)
}

// of returns what it was told of some kinds, in order.
func (o *spy) of(kinds ...string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, line := range o.told {
		if kind, what, _ := strings.Cut(line, ": "); slices.Contains(kinds, kind) {
			out = append(out, strings.TrimSpace(what))
		}
	}
	return strings.Join(out, ", ")
}

func (o *spy) expect(t *testing.T, want string, kinds ...string) {
	t.Helper()
	if got := o.of(kinds...); got != want {
		t.Errorf("told of %v: %s\nwant: %s", kinds, got, want)
	}
}

// operations returns how many items each operation of the store was about.
func (o *spy) operations() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make(map[string]int)
	for _, c := range o.calls {
		out[c.Operation] += c.Items
	}
	return out
}

// slowStore takes a second for a claim or a settlement, and fails the latter for good.
type slowStore struct {
	*memdedupe.Store

	settles *atomic.Int64
}

func (s slowStore) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	time.Sleep(time.Second)
	return s.Store.Claim(ctx, rs)
}

func (s slowStore) Settle(context.Context, []dedupe.Settlement) ([]error, error) {
	s.settles.Add(1)
	time.Sleep(time.Second)
	return nil, dedupe.ErrClosed
}

func TestFetchIsObservedBeforeItsEventsAreHandled(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		w.subscribe(func(_ context.Context, e bus.Event) error {
			o.note("fetch", "run of %s", e.ID)
			return nil
		}, &consumer.Options{Observer: o, Concurrency: 1})
		time.Sleep(2500 * time.Millisecond) // two fetches have brought nothing
		w.publish(order("a"))
		synctest.Wait()
		o.expect(t, "1 in 500ms <nil>, run of a", "fetch")
	})
}

func TestFailedFetchIsObserved(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		c := closable{Bus: w.bus, noStore: &atomic.Bool{}, noBus: &atomic.Bool{}}
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), c, "order.*", "billing", w.store, nothing, &consumer.Options{Observer: o, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		c.noBus.Store(true)
		<-s.Done()
		if got := o.of("fetch"); !strings.HasPrefix(got, "0 in 1s "+bus.ErrClosed.Error()) {
			t.Errorf("told of %q", got)
		}
	})
}

func TestStoreCallIsObservedAfterItWasAnswered(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		store := slowStore{w.store.(*memdedupe.Store), &atomic.Int64{}}
		w.store = store
		w.publish(order("a"))
		s := w.subscribe(nothing, &consumer.Options{Observer: o})
		<-s.Done()
		got := o.of("store")
		for want, times := range map[string]int{"claim 1 in 1s <nil>": 1, "settle 1 in 1s " + dedupe.ErrClosed.Error(): int(store.settles.Load())} {
			if strings.Count(got, want) != times {
				t.Errorf("told of %s, want %q %d times", got, want, times)
			}
		}
	})
}

func TestEachOperationOfTheStoreIsObserved(t *testing.T) {
	for name, c := range map[string]struct {
		mode consumer.Mode
		want []string
	}{
		"claimed":       {consumer.Claimed, []string{"claim", "extend", "settle", "watermarks", "begin", "advance"}},
		"seen and mark": {consumer.SeenMark, []string{"seen", "mark", "watermarks", "begin", "advance"}},
		"transactional": {consumer.Transactional, []string{"probetransactions", "claim", "transact", "watermarks", "begin", "advance"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				o := &spy{}
				if c.mode == consumer.Transactional {
					w.store = &transactor{Store: w.store.(*memdedupe.Store)}
				}
				s := w.subscribe(func(context.Context, bus.Event) error {
					time.Sleep(20 * time.Second) // the lease is renewed once
					return nil
				}, &consumer.Options{Observer: o, Mode: c.mode})
				w.publish(order("a"))
				time.Sleep(time.Minute)
				w.drain(s)
				got := o.operations()
				for _, operation := range c.want {
					if got[operation] == 0 {
						t.Errorf("told of %v, and nothing of %s", got, operation)
					}
					delete(got, operation)
				}
				if len(got) > 0 {
					t.Errorf("told of %v as well", got)
				}
			})
		})
	}
}

// TestTransactionIsObservedWithoutItsHandler: neither its time nor its error is the store's.
func TestTransactionIsObservedWithoutItsHandler(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		w.store = &transactor{Store: w.store.(*memdedupe.Store), start: func(before int) error {
			time.Sleep(time.Second)
			if before == 2 {
				return errors.New("no primary")
			}
			return nil
		}}
		w.publish(order("a"))
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			time.Sleep(5 * time.Second)
			switch consumer.AttemptFrom(ctx).Number {
			case 1:
				return errors.New("not yet")
			case 2:
				return fmt.Errorf("write: %w", errConflict)
			}
			return nil
		}, &consumer.Options{Observer: o, Mode: consumer.Transactional, MaxAttempts: 3})
		time.Sleep(2 * time.Minute)
		w.drain(s)
		var got []consumer.StoreCall
		for _, c := range o.calls {
			if c.Operation == "transact" {
				got = append(got, c)
			}
		}
		for i, want := range []string{"<nil>", dedupe.ErrTransactionAborted.Error(), "no primary"} {
			if i >= len(got) || got[i].Took != time.Second || !strings.Contains(fmt.Sprint(got[i].Err), want) {
				t.Fatalf("transaction %d: told of %+v, want 1s, %s", i, got, want)
			}
		}
	})
}

func TestWatermarkIsObservedOnceItIsStored(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		w.publish(order("a"), order("b"))
		s := w.subscribe(nothing, &consumer.Options{Observer: o})
		time.Sleep(time.Minute)
		w.publish(order("c"))
		time.Sleep(time.Second)
		w.drain(s) // stores the last one
		o.expect(t, "2, 3", "watermark")
		kept, err := w.store.(dedupe.Watermarker).Watermarks(w.t.Context(), "billing", "order.*")
		must(t, err)
		if len(kept) != 1 || kept[0].Sequence != 3 {
			t.Errorf("%+v is kept", kept)
		}
	})
}

func TestPausesAreObservedInTheirOrderAndOnceEach(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		s := w.subscribe(nothing, &consumer.Options{Observer: o})
		s.PauseBy("breaker")
		s.PauseBy("breaker")
		s.PauseBy("group")
		s.ResumeBy("nobody")
		s.ResumeBy("breaker")
		s.ResumeBy("group")
		s.ResumeBy("group")
		s.PauseBy("the end")
		w.drain(s)
		o.expect(t, "breaker, breaker+group, group, , the end", "pause")
		s.PauseBy("later")
		synctest.Wait()
		o.expect(t, "breaker, breaker+group, group, , the end", "pause")
	})
}

// blockedByPause is an observer that does not return while the test lasts.
type blockedByPause struct {
	observer
	end chan struct{}
}

func (o *blockedByPause) ObservePause([]string) { <-o.end }

func TestPauseDoesNotWaitForItsObserver(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &blockedByPause{end: make(chan struct{})}
		w.publish(order("a"))
		s := w.subscribe(nothing, &consumer.Options{Observer: o})
		s.PauseBy("a")
		s.ResumeBy("a")
		time.Sleep(time.Minute)
		if n := s.Stats().Handled; n != 1 {
			t.Errorf("%d events are handled while an observer blocks", n)
		}
		close(o.end)
		w.drain(s)
	})
}

func TestWaitsForGatesAndLimitAreObserved(t *testing.T) {
	inBubble(t, func(w *harness) {
		o, gate := &spy{}, &flow.Switch{}
		gate.Shut()
		w.publish(order("a"), order("b"), order("c"))
		s := w.subscribe(nothing, &consumer.Options{
			Observer: o, Concurrency: 1, Gates: []flow.Gate{gate}, Limit: newSpaced(2 * time.Second), LimitWait: 5 * time.Second,
		})
		time.Sleep(time.Second)
		gate.Open()
		time.Sleep(6 * time.Second) // beyond the waits for the limit
		w.publish(order("d"))       // waits for nothing
		time.Sleep(time.Second)
		w.drain(s)
		o.expect(t, "1s true, 2s true, 2s true", "limit")
	})
}

func TestEventThatTheLimitGivesBackIsObservedAsNotStarted(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		w.publish(order("a"), order("b"))
		w.subscribe(nothing, &consumer.Options{Observer: o, Concurrency: 1, Limit: newSpaced(20 * time.Second), LimitWait: time.Second})
		time.Sleep(time.Second)
		o.expect(t, "0s false", "limit")
	})
}

func TestCapacityIsObservedWhenItChanges(t *testing.T) {
	inBubble(t, func(w *harness) {
		o, v := &spy{}, newValve(3)
		w.subscribe(nothing, &consumer.Options{Observer: o, Gates: []flow.Gate{&flow.Switch{}, newValve(-1), v}})
		synctest.Wait()
		o.mu.Lock()
		slices.Sort(o.told) // the gates are followed side by side
		o.mu.Unlock()
		for _, limit := range []int{0, 0, 1, -1} {
			v.set(limit)
			synctest.Wait()
		}
		o.expect(t, "0 -1, 1 3, 1 0, 1 1, 1 -1", "capacity")
	})
}

func TestReasonOfADeadLetterIsObservedAsItsClass(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &spy{}
		w.publish(order("bad"), order("weak"), order("no id"), order("used"), order("good"))
		other := order("used")
		other.Data = []byte(`{"cents":6}`)
		w.again(other, 1)
		s := w.subscribe(func(_ context.Context, e bus.Event) error {
			switch e.ID {
			case "bad":
				return consumer.Permanent(errors.New("no: never"))
			case "weak":
				return errors.New("not yet")
			}
			return nil
		}, &consumer.Options{Observer: o, Concurrency: 1, MaxAttempts: 2, ID: func(e bus.Event) string { return strings.TrimPrefix(e.ID, "no id") }})
		time.Sleep(time.Minute)
		w.drain(s)
		for want, times := range map[string]int{
			"bad dead permanent": 1, "weak dead failed": 1, "weak failed,": 1, "dead unidentified": 1, "used dead id_reused": 1, "used handled": 1, "good handled": 1,
		} {
			if got := o.of("ended"); strings.Count(got, want) != times {
				t.Errorf("told of %s; want %q %d times", got, want, times)
			}
		}
	})
}

func TestObserversPassEverythingOnInOrder(t *testing.T) {
	inBubble(t, func(w *harness) {
		first, second, plain := &spy{}, &spy{}, &observer{}
		if consumer.Observers() != nil || consumer.Observers(nil, nil) != nil {
			t.Error("no observers are one")
		}
		if o := consumer.Observers(nil, plain); o != plain {
			t.Errorf("a single observer is a %T", o)
		}
		gate := newValve(5)
		w.publish(order("a"), order("b"))
		s := w.subscribe(nothing, &consumer.Options{
			Observer: consumer.Observers(first, nil, consumer.Observers(plain, second)), Concurrency: 1, Gates: []flow.Gate{gate}, Limit: newSpaced(time.Second),
		})
		time.Sleep(time.Minute)
		s.Pause()
		w.drain(s)
		for _, kind := range []string{"ended", "answer", "store", "fetch", "watermark", "pause", "limit", "capacity"} {
			if got := first.of(kind); got == "" && kind != "pause" || got != second.of(kind) {
				t.Errorf("told of %s: %s and %s", kind, got, second.of(kind))
			}
		}
		if len(plain.told) != 2 {
			t.Errorf("the one that is an Observer alone was told of %+v", plain.told)
		}
	})
}
