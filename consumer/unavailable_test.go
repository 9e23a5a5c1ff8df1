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
	"github.com/onceish/onceish/dedupe"
)

// receiver is what handlers call: it takes so many calls a second, or refuses all.
type receiver struct {
	perSecond int // 0: all

	mu     sync.Mutex
	down   error
	second time.Time
	taken  int
	calls  int
}

func (r *receiver) set(down error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func (r *receiver) handle(context.Context, bus.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.down != nil {
		return r.down
	}
	if now := time.Now().Truncate(time.Second); !now.Equal(r.second) {
		r.second, r.taken = now, 0
	}
	if r.taken++; r.perSecond > 0 && r.taken > r.perSecond {
		return consumer.Throttled(time.Second, errors.New("429 Too Many Requests"))
	}
	return nil
}

func (r *receiver) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

func (w *harness) publishMany(n int) {
	w.t.Helper()
	for i := range n {
		w.publish(order(fmt.Sprint("event", i)))
	}
}

// A receiver that takes five events a second gets them all, with default options.
func TestThrottledBacklogIsHandledAndNothingIsDead(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishMany(150)
		r := &receiver{perSecond: 5}
		s := w.subscribe(r.handle, nil)
		time.Sleep(5 * time.Minute)
		w.drain(s)
		if st := s.Stats(); st.Handled != 150 || st.Dead != 0 || st.Failed != 0 || st.Deferred == 0 {
			t.Errorf("stats %+v, want all 150 handled", st)
		}
		if r.called() > 600 {
			t.Errorf("%d calls for 150 events: the receiver is not spared", r.called())
		}
	})
}

// That a receiver no longer throttles is logged, also when no more events arrive.
func TestEndOfThrottlingIsLogged(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publishMany(30)
		log := &bytes.Buffer{}
		s := w.subscribe((&receiver{perSecond: 2}).handle, &consumer.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		time.Sleep(5 * time.Minute)
		if st := s.Stats(); st.Handled != 30 || st.Deferred == 0 || st.Allowed != 16 {
			t.Errorf("stats %+v, want all 30 handled and 16 allowed", st)
		}
		w.drain(s)
		for _, text := range []string{"throttled: fewer handlers are started", "throttled no more: all handlers are started"} {
			if !strings.Contains(log.String(), text) {
				t.Errorf("%q is not logged:\n%s", text, log)
			}
		}
	})
}

// A receiver that is down for half an hour costs no attempt, and gets few probes. Its return is
// noticed within seconds.
func TestReceiverThatIsDownForHalfAnHourLeavesNoDeadLetters(t *testing.T) {
	for name, refusal := range map[string]error{
		"no answer":   consumer.Unavailable(errors.New("connection refused")),
		"rotated key": consumer.Unavailable(consumer.Permanent(errors.New("401 Unauthorized"))),
	} {
		for _, events := range []int{1, 150} {
			t.Run(fmt.Sprint(name, ", ", events), func(t *testing.T) {
				inBubble(t, func(w *harness) { downForHalfAnHour(w, refusal, events) })
			})
		}
	}
}

func downForHalfAnHour(w *harness, refusal error, events int) {
	r, log := &receiver{}, &bytes.Buffer{}
	w.publish(order("first"))
	s := w.subscribe(r.handle, &consumer.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	synctest.Wait()
	r.set(refusal)
	w.publishMany(events)
	time.Sleep(30 * time.Minute)
	if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), "the receiver is unavailable since 2000-01-01T00:00:") {
		w.t.Errorf("healthy: %v", err)
	}
	if st := s.Stats(); st.Allowed != 0 || st.InFlight > 1 {
		w.t.Errorf("stats %+v, want nothing in flight but a probe", st)
	}
	probes := r.called()
	r.set(nil)
	time.Sleep(time.Minute)
	if st := s.Stats(); st.Handled != uint64(events)+1 || st.Dead != 0 || st.Failed != 0 {
		w.t.Errorf("stats %+v a minute later, want %d handled", st, events+1)
	}
	if probes > 300 {
		w.t.Errorf("%d calls in half an hour", probes)
	}
	if err := s.Healthy(); err != nil {
		w.t.Errorf("healthy: %v", err)
	}
	w.drain(s)
	for _, text := range []string{"level=ERROR msg=\"the receiver is unavailable: ", "level=INFO msg=\"the receiver is available again\""} {
		if n := strings.Count(log.String(), text); n != 1 {
			w.t.Errorf("%q is logged %d times", text, n)
		}
	}
}

// One event that is refused among others that are not is found.
func TestEventThatIsRefusedAmongOthersIsDeadLettered(t *testing.T) {
	for name, c := range map[string]struct {
		refusal  error
		attempts int
	}{
		"502 each time": {consumer.Unavailable(errors.New("502 Bad Gateway")), 10},
		"404":           {consumer.Unavailable(consumer.Permanent(errors.New("404 Not Found"))), 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				var runs atomic.Int32
				s := w.subscribe(func(_ context.Context, e bus.Event) error {
					if e.ID == "bad" {
						runs.Add(1)
						return c.refusal
					}
					return nil
				}, nil)
				w.publish(order("bad"))
				for i := range 2400 {
					w.publish(order(fmt.Sprint(i)))
					time.Sleep(time.Second)
				}
				w.drain(s)
				letters := w.letters()
				if len(letters) != 1 || letters[0].Attempts != c.attempts || int(runs.Load()) <= c.attempts {
					t.Errorf("%d letters, %d runs, want one letter after %d attempts, and more runs than that", len(letters), runs.Load(), c.attempts)
				}
			})
		})
	}
}

// It makes no difference whether the store counts attempts, or arrivals stand for them.
func TestUnavailableReceiverUsesUpNoAttempts(t *testing.T) {
	for name, mode := range map[string]consumer.Mode{"claimed": consumer.Claimed, "seen-mark": consumer.SeenMark} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				if mode == consumer.SeenMark {
					w.store = struct{ dedupe.Store }{w.store}
				}
				r := &receiver{}
				r.set(consumer.Unavailable(errors.New("connection refused")))
				w.publishMany(3)
				s := w.subscribe(r.handle, &consumer.Options{Mode: mode, MaxAttempts: 2})
				time.Sleep(10 * time.Minute)
				r.set(nil)
				time.Sleep(time.Minute)
				w.drain(s)
				if st := s.Stats(); st.Handled != 3 || st.Dead != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// Draining does not wait for the receiver, and pausing goes before probing.
func TestDrainAndPauseWhileTheReceiverIsUnavailable(t *testing.T) {
	inBubble(t, func(w *harness) {
		r := &receiver{}
		r.set(consumer.Unavailable(errors.New("connection refused")))
		w.publishMany(50)
		s := w.subscribe(r.handle, nil)
		time.Sleep(time.Minute)
		s.Pause()
		before := r.called()
		time.Sleep(time.Minute)
		if r.called() != before {
			t.Errorf("%d probes while paused", r.called()-before)
		}
		s.Resume()
		time.Sleep(time.Minute)
		if r.called() == before {
			t.Error("no probe after Resume")
		}
		start := time.Now()
		w.drain(s)
		if took := time.Since(start); took > time.Second {
			t.Errorf("draining took %v", took)
		}
	})
}
