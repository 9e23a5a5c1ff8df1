package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
)

// spaced lets one event of a key start in an interval, and notes for how long a key was closed.
type spaced struct {
	interval time.Duration

	mu     sync.Mutex
	next   map[string]time.Time
	closed map[string]time.Duration
	broken error
}

func newSpaced(interval time.Duration) *spaced {
	return &spaced{interval: interval, next: map[string]time.Time{}, closed: map[string]time.Duration{}}
}

func (s *spaced) Allow(_ context.Context, key string, _ int) (flow.Decision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return flow.Decision{}, s.broken
	}
	if wait := time.Until(s.next[key]); wait > 0 {
		return flow.Decision{RetryAfter: wait}, nil
	}
	s.next[key] = time.Now().Add(s.interval)
	return flow.Decision{Allowed: true}, nil
}

func (s *spaced) CloseFor(_ context.Context, key string, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed[key] = d
	return nil
}

func (s *spaced) setBroken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

func byPayload(e bus.Event) string { return string(e.Data) }

// publishEach publishes so many events with a payload.
func (w *harness) publishEach(payload string, n int) {
	for i := range n {
		w.publish(bus.Event{ID: fmt.Sprint(payload, i), Topic: "order.placed", Data: []byte(payload)})
	}
}

// TestLimitedKeyLeavesSlotsToOthers: hundreds of events of a key that may start once in a second do
// not keep those of another one from starting, and start one a second all the same.
func TestLimitedKeyLeavesSlotsToOthers(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("hot", 1200) // so many that how waits are drawn evens out
		w.publishEach("cold", 10)
		var hot, cold atomic.Int32
		s := w.subscribe(func(_ context.Context, e bus.Event) error {
			if byPayload(e) == "cold" {
				cold.Add(1)
			} else {
				hot.Add(1)
			}
			return nil
		}, &consumer.Options{Limit: newSpaced(time.Second), LimitKey: byPayload, Concurrency: 4})
		time.Sleep(30 * time.Second)
		if n := cold.Load(); n != 10 {
			t.Errorf("%d of 10 events of the other key started in 30 s", n)
		}
		time.Sleep(1170 * time.Second)
		if n := hot.Load(); n < 1080 {
			t.Errorf("%d of the limited key started in 1200 s, at one a second", n)
		}
		time.Sleep(8 * time.Minute)
		if st := s.Stats(); st.Handled != 1210 || st.Failed != 0 || st.Dead != 0 {
			t.Errorf("stats %+v", st)
		}
		w.drain(s)
	})
}

// TestLimitedTopicWaitsInItsSlots: with one key for all there is nothing else to start, and nothing
// is given back.
func TestLimitedTopicWaitsInItsSlots(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("a", 20)
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.placed", "billing", w.store, nothing,
			&consumer.Options{Limit: newSpaced(time.Second), Concurrency: 4, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		time.Sleep(1500 * time.Millisecond)
		if key, until := s.State().LimitedKey, s.State().LimitedUntil; key != "order.placed" || time.Until(until) != 500*time.Millisecond {
			t.Errorf("limited: %q, for another %v", key, time.Until(until))
		}
		time.Sleep(20 * time.Second)
		if st := s.Stats(); st.Handled != 20 || st.GivenBack != 0 {
			t.Errorf("stats %+v", st)
		}
		if until := s.State().LimitedUntil; !until.IsZero() {
			t.Errorf("limited until %v", until)
		}
		w.drain(s)
	})
}

func TestThrottledClosesItsKeyAndCountsNoAttempt(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("tenant", 1)
		limit, runs := newSpaced(time.Millisecond), 0
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			if runs++; runs == 1 {
				return consumer.Throttled(time.Minute, errors.New("too many requests"))
			}
			if n := consumer.AttemptFrom(ctx).Number; n != 1 {
				t.Errorf("attempt %d", n)
			}
			return nil
		}, &consumer.Options{Limit: limit, LimitKey: byPayload})
		time.Sleep(10 * time.Minute)
		w.drain(s)
		if limit.closed["tenant"] != time.Minute || runs != 2 {
			t.Errorf("closed for %v, ran %d times", limit.closed, runs)
		}
	})
}

// TestLimitThatFailsStartsNothing: nothing is lost by it, and it is known.
func TestLimitThatFailsStartsNothing(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("a", 5)
		limit := newSpaced(0)
		limit.setBroken(errors.New("n is above the burst"))
		s := w.subscribe(nothing, &consumer.Options{Limit: limit})
		time.Sleep(10 * time.Minute)
		if err := s.Healthy(); w.starts() != 0 || err == nil {
			t.Errorf("%d started: %v", w.starts(), err)
		}
		limit.setBroken(nil)
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Handled != 5 || st.Failed != 0 || s.Healthy() != nil {
			t.Errorf("stats %+v, %v", st, s.Healthy())
		}
		w.drain(s)
	})
}

// valve is a gate with a capacity that tests set.
type valve struct {
	mu      sync.Mutex
	c       flow.Capacity
	changed chan struct{}
	inside  int
	most    int
}

func newValve(limit int) *valve {
	return &valve{c: flow.Capacity{Limit: limit, Reason: "test"}, changed: make(chan struct{})}
}

func (v *valve) Capacity() (flow.Capacity, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.c, v.changed
}

func (v *valve) set(limit int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.c.Limit = limit
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *valve) Enter(context.Context) (func(error), error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.inside++
	v.most = max(v.most, v.inside)
	return func(error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.inside--
	}, nil
}

func TestGateWithCapacityBoundsRuns(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("a", 20)
		v := newValve(3)
		s := w.subscribe(func(context.Context, bus.Event) error {
			time.Sleep(time.Second)
			return nil
		}, &consumer.Options{Gates: []flow.Gate{v}, Concurrency: 8})
		time.Sleep(10 * time.Second)
		if st := s.Stats(); v.most != 3 || st.Handled != 20 || st.Allowed != 3 {
			t.Errorf("%d at once, stats %+v", v.most, st)
		}
		w.drain(s)
	})
}

// TestShutGateStopsFetching: what is in flight is given back without an attempt, and goes on when
// it opens.
func TestShutGateStopsFetching(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("a", 20)
		v := newValve(0)
		s := w.subscribe(nothing, &consumer.Options{Gates: []flow.Gate{v}})
		time.Sleep(time.Minute)
		before := s.Stats()
		time.Sleep(time.Hour)
		if st := s.Stats(); w.starts() != 0 || st.InFlight != 0 || st.GivenBack > before.GivenBack {
			t.Errorf("while it is shut: stats %+v, before %+v", st, before)
		}
		if g := s.State().Gates; len(g) != 1 || g[0].Limit != 0 || g[0].Reason != "test" {
			t.Errorf("state %+v", g)
		}
		v.set(1)
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Handled != 20 || st.Failed != 0 {
			t.Errorf("stats %+v", st)
		}
		w.drain(s)
	})
}

// TestProbeStartsBesideRunsThatHang: what began before the gate was shut keeps its slots, and no
// probe waits for it.
func TestProbeStartsBesideRunsThatHang(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("hangs", 2)
		v := newValve(-1)
		free := make(chan struct{})
		s := w.subscribe(func(_ context.Context, e bus.Event) error {
			if byPayload(e) == "hangs" {
				<-free
			}
			return nil
		}, &consumer.Options{Gates: []flow.Gate{v}, Concurrency: 4})
		time.Sleep(time.Second)
		v.set(0)
		w.publishEach("a", 5)
		time.Sleep(time.Minute)
		v.set(1)
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Handled != 5 || st.Running != 2 {
			t.Errorf("beside two runs that hang: stats %+v", st)
		}
		close(free)
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Handled != 7 {
			t.Errorf("stats %+v", st)
		}
		w.drain(s)
	})
}

// TestPauseHoldsUntilAllHaveResumed: an operator's pause is not ended by somebody else's.
func TestPauseHoldsUntilAllHaveResumed(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.subscribe(nothing, nil)
		s.PauseBy("group")
		s.PauseBy("group")
		s.Pause()
		w.publishEach("a", 3)
		time.Sleep(time.Minute)
		s.Resume()
		time.Sleep(time.Minute)
		if by := s.State().PausedBy; w.starts() != 0 || len(by) != 1 || by[0] != "group" {
			t.Errorf("%d started, paused by %q", w.starts(), by)
		}
		s.ResumeBy("group")
		synctest.Wait()
		time.Sleep(time.Minute)
		if by := s.State().PausedBy; w.starts() != 3 || len(by) != 0 {
			t.Errorf("%d started, paused by %q", w.starts(), by)
		}
		w.drain(s)
	})
}

// TestGateIsNotTakenForAReceiverThatThrottles: operators are not warned of a gate's capacity.
func TestGateIsNotTakenForAReceiverThatThrottles(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishEach("a", 20)
		log := &bytes.Buffer{}
		s := w.subscribe(nothing, &consumer.Options{
			Gates: []flow.Gate{newValve(3)}, Concurrency: 16, Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		time.Sleep(time.Minute)
		w.drain(s)
		if st := s.Stats(); st.Handled != 20 || strings.Contains(log.String(), "throttled") {
			t.Errorf("stats %+v, log:\n%s", st, log)
		}
	})
}
