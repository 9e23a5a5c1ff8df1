package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	"github.com/onceish/onceish/internal/testing/faulty"
)

var errDown = errors.New("the server is down")

// faults makes the world's store and bus go as planned.
func (w *harness) faults(plan faulty.Plan) bus.Bus {
	w.store = dedupetest.Faulty(w.store.(dedupetest.Inner), plan)
	return bustest.Faulty(w.bus, plan)
}

func (w *harness) subscribeTo(b bus.Bus, h consumer.Handler, o *consumer.Options) *consumer.Subscription {
	w.t.Helper()
	if o == nil {
		o = &consumer.Options{}
	}
	if o.Logger == nil {
		o.Logger = quiet
	}
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), b, "order.*", "billing", w.store, w.record(h), o)
	must(w.t, err)
	w.t.Cleanup(func() { _ = s.Drain(context.Background()) })
	return s
}

// dice fall the same each time the test runs.
type dice struct {
	mu    sync.Mutex
	rand  *rand.Rand
	sides int
}

func newDice(sides int) *dice { return &dice{rand: rand.New(rand.NewPCG(1, 2)), sides: sides} }

func (d *dice) roll() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(d.sides)
}

// TestEveryCallMayBeDoneAndYetAnsweredWithAnError: the answer that got lost is repeated,
// not the effect.
func TestEveryCallMayBeDoneAndYetAnsweredWithAnError(t *testing.T) {
	for _, call := range []faulty.Call{faulty.Claim, faulty.Settle, faulty.Extend, faulty.Ack, faulty.Fetch, faulty.Publish, faulty.Info, faulty.Advance} {
		for every := 2; every <= 3; every++ {
			t.Run(fmt.Sprintf("%s, one in %d", call, every), func(t *testing.T) {
				inBubble(t, func(w *harness) {
					dice := newDice(every)
					var begun atomic.Bool
					b := w.faults(func(c faulty.Call) faulty.Fault {
						if c == call && begun.Load() && dice.roll() == 0 {
							return faulty.Fault{After: errDown}
						}
						return faulty.Fault{}
					})
					var es []bus.Event
					for i := range 100 {
						es = append(es, order(fmt.Sprint(i)))
					}
					es = append(es, order("poison"))
					w.publish(es...)
					s := w.subscribeTo(b, func(_ context.Context, e bus.Event) error {
						time.Sleep(time.Minute) // longer than a lease: it is extended
						if e.ID == "poison" {
							return consumer.Permanent(errors.New("no"))
						}
						return nil
					}, nil)
					begun.Store(true)
					time.Sleep(3 * time.Hour)
					if w.starts() != 101 {
						t.Errorf("%d starts of 101 events", w.starts())
					}
					ids := make(map[string]bool) // a letter may be stored again, under its id
					for _, l := range w.letters() {
						ids[l.ID] = true
					}
					if len(ids) != 1 {
						t.Errorf("%d letters of one dead event", len(ids))
					}
					w.drain(s)
				})
			})
		}
	}
}

func TestStoreThatIsDownForLongerThanALease(t *testing.T) {
	inBubble(t, func(w *harness) {
		var down atomic.Bool
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if down.Load() && (c == faulty.Claim || c == faulty.Settle || c == faulty.Extend) {
				return faulty.Fault{Before: errDown}
			}
			return faulty.Fault{}
		})
		var cancelled atomic.Int32
		w.publish(order("quick"), order("slow"))
		s := w.subscribeTo(b, func(ctx context.Context, e bus.Event) error {
			if e.ID == "quick" {
				time.Sleep(10 * time.Second) // succeeds while the store is down
				return nil
			}
			if w.starts() > 2 {
				return nil
			}
			<-ctx.Done()
			if errors.Is(context.Cause(ctx), consumer.ErrLeaseLost) {
				cancelled.Add(1)
			}
			return context.Cause(ctx)
		}, nil)
		synctest.Wait()
		down.Store(true)
		w.publish(order("later"))
		time.Sleep(2 * time.Minute)
		if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), "the dedupe store does not answer: the server is down") {
			t.Errorf("healthy: %v", err)
		}
		if cancelled.Load() != 1 || w.starts() != 2 {
			t.Errorf("%d handlers were cancelled for their lease, %d started", cancelled.Load(), w.starts())
		}
		down.Store(false)
		time.Sleep(10 * time.Minute)
		st := s.Stats()
		if err := s.Healthy(); err != nil || st.Handled != 3 || st.Failed != 0 || w.starts() != 4 {
			t.Errorf("healthy: %v, %d starts, stats %+v", err, w.starts(), st)
		}
		w.drain(s)
	})
}

func TestDrainThatCannotMarkSaysSo(t *testing.T) {
	inBubble(t, func(w *harness) {
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Settle {
				return faulty.Fault{Before: errDown}
			}
			return faulty.Fault{}
		})
		w.publish(order("1"))
		s := w.subscribeTo(b, nothing, nil)
		time.Sleep(time.Second)
		err := s.Drain(context.Background())
		if !errors.Is(err, consumer.ErrDrainIncomplete) || !strings.Contains(err.Error(), "1 succeeded and could not be marked") {
			t.Errorf("got %v", err)
		}
	})
}

func TestLetterThatCannotBeStoredLeavesTheEventDying(t *testing.T) {
	inBubble(t, func(w *harness) {
		var down atomic.Bool
		down.Store(true)
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Publish && down.Load() {
				return faulty.Fault{Before: errDown}
			}
			return faulty.Fault{}
		})
		w.publish(order("1"))
		s := w.subscribeTo(b, func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("no")) }, nil)
		time.Sleep(10 * time.Minute)
		if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), "dead letters cannot be stored") || w.starts() != 1 {
			t.Errorf("healthy: %v after %d starts", err, w.starts())
		}
		down.Store(false)
		time.Sleep(10 * time.Minute)
		if ls := w.letters(); len(ls) != 1 || ls[0].Reason != "permanent: no" || s.Healthy() != nil || s.Stats().Dead != 1 {
			t.Errorf("letters %+v, healthy: %v, stats %+v", ls, s.Healthy(), s.Stats())
		}
		w.drain(s)
	})
}

func TestBusThatIsClosedForGoodEndsTheSubscription(t *testing.T) {
	inBubble(t, func(w *harness) {
		var closed atomic.Bool
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Fetch && closed.Load() {
				return faulty.Fault{Before: bus.ErrClosed}
			}
			return faulty.Fault{}
		})
		w.publish(order("1"))
		s := w.subscribeTo(b, func(context.Context, bus.Event) error { time.Sleep(10 * time.Second); return nil }, nil)
		synctest.Wait()
		closed.Store(true)
		<-s.Done()
		if !errors.Is(s.Err(), bus.ErrClosed) || s.Stats().Handled != 1 {
			t.Errorf("err: %v, stats %+v", s.Err(), s.Stats())
		}
	})
}
