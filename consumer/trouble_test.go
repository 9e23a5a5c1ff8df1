package consumer_test

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/onceish/onceish/internal/testing/faulty"
)

// TestRenewalThatHangsIsRepeatedWithinTheLease: one lost call must not cancel every handler.
func TestRenewalThatHangsIsRepeatedWithinTheLease(t *testing.T) {
	inBubble(t, func(w *harness) {
		var calls atomic.Int32
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Extend && calls.Add(1) == 1 {
				return faulty.Fault{Delay: time.Hour}
			}
			return faulty.Fault{}
		})
		w.publish(order("1"), order("2"), order("3"))
		s := w.subscribeTo(b, func(ctx context.Context, _ bus.Event) error {
			select {
			case <-time.After(2 * time.Minute):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}, nil)
		time.Sleep(5 * time.Minute)
		w.drain(s)
		if w.starts() != 3 || calls.Load() < 2 {
			t.Errorf("%d starts of 3 events, %d renewals", w.starts(), calls.Load())
		}
	})
}

// TestSuspectWaitsInPeace: a suspect that waits for a running handler neither runs beside it, nor
// keeps the process busy. In the bubble, time does not pass while anybody is busy.
func TestSuspectWaitsInPeace(t *testing.T) {
	inBubble(t, func(w *harness) {
		key := dedupe.Key{Topic: "order.placed", Group: "billing", ID: "suspect"}
		suspect := order("suspect")
		_, err := w.store.(dedupe.Claimer).Claim(w.t.Context(), []dedupe.Request{{
			Key: key, Nonce: "one that died", Hash: consumer.Bytes(suspect), Lease: time.Millisecond, TTL: time.Hour,
		}})
		must(t, err)
		w.publish(order("slow"))
		var running, beside atomic.Int32
		s := w.subscribe(func(context.Context, bus.Event) error {
			if running.Add(1) > 1 {
				beside.Add(1)
			}
			time.Sleep(time.Minute)
			running.Add(-1)
			return nil
		}, nil)
		synctest.Wait()
		w.publish(suspect)
		time.Sleep(10 * time.Minute)
		w.drain(s)
		if st := s.Stats(); st.Handled != 2 || beside.Load() != 0 {
			t.Errorf("stats %+v, %d ran beside the other", st, beside.Load())
		}
	})
}

// TestHealthyAgainOnceSomebodyElseHasBuried: a letter that could not be stored here is no
// trouble for ever.
func TestHealthyAgainOnceSomebodyElseHasBuried(t *testing.T) {
	inBubble(t, func(w *harness) {
		inner := w.store
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Publish {
				return faulty.Fault{Before: errDown}
			}
			return faulty.Fault{}
		})
		w.publish(order("1"))
		permanent := func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("no")) }
		s := w.subscribeTo(b, permanent, nil)
		time.Sleep(time.Second)
		if s.Healthy() == nil {
			t.Error("healthy though the letter is not stored")
		}
		s.Pause() // the other one gets the event
		w.store = inner
		other := w.subscribeTo(w.bus, permanent, nil)
		time.Sleep(10 * time.Minute)
		s.Resume()
		if err := s.Healthy(); err != nil || other.Stats().Dead != 1 {
			t.Errorf("healthy: %v, the other's stats %+v", err, other.Stats())
		}
		w.drain(other)
		w.drain(s)
	})
}

func TestModeSeenMarkTakesOverFromModeClaimed(t *testing.T) {
	inBubble(t, func(w *harness) {
		claimer := w.store.(dedupe.Claimer)
		for _, id := range []string{"claimed", "dead-lettering"} {
			e := order(id)
			cs, err := claimer.Claim(w.t.Context(), []dedupe.Request{{
				Key: dedupe.Key{Topic: e.Topic, Group: "billing", ID: id}, Nonce: id, Hash: consumer.Bytes(e), Lease: time.Minute, TTL: 24 * time.Hour,
			}})
			must(t, err)
			if id == "dead-lettering" {
				_, err = claimer.Settle(w.t.Context(), []dedupe.Settlement{{Claim: cs[0], Outcome: dedupe.GivenUp, Letter: "x", Lease: time.Minute, TTL: 24 * time.Hour}})
				must(t, err)
			}
			w.publish(e)
		}
		s := w.subscribe(nothing, &consumer.Options{Mode: consumer.SeenMark})
		time.Sleep(time.Hour)
		w.drain(s)
		if st := s.Stats(); st.Handled != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestWhatTheStreamDroppedIsTold(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		s := w.subscribe(nothing, nil)
		time.Sleep(time.Second)
		w.drain(s)
		w.publish(order("2"), order("3"), order("4"))
		must(t, w.bus.Purge("events", "order.placed"))
		w.publish(order("5"))
		var log syncBuffer
		s = w.subscribe(nothing, &consumer.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(time.Minute)
		w.drain(s)
		if n := strings.Count(log.String(), "the stream dropped events"); n != 1 || !strings.Contains(log.String(), "at_most=3") {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
	})
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestLogSaysWhyAnEventWasGivenUp: whoever is on call must not have to read the dead
// letter for that.
func TestLogSaysWhyAnEventWasGivenUp(t *testing.T) {
	inBubble(t, func(w *harness) {
		var log bytes.Buffer
		w.publish(order("1"))
		s := w.subscribe(func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("the account is closed")) },
			&consumer.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()
		w.drain(s)
		want := `msg="event dead-lettered" key=order.placed::billing::1 topic=dead.billing reason="permanent: the account is closed"`
		if strings.Count(log.String(), want) != 1 || len(w.letters()) != 1 {
			t.Errorf("%d letters, logged:\n%s", len(w.letters()), &log)
		}
	})
}

// forgetful is a store that has given every claim to somebody else when it is settled.
type forgetful struct{ *memdedupe.Store }

var _ dedupe.Claimer = forgetful{}

func (forgetful) Settle(_ context.Context, ss []dedupe.Settlement) ([]error, error) {
	return slices.Repeat([]error{dedupe.ErrSuperseded}, len(ss)), nil
}

// TestLostClaimTellsOfItsEffect: whoever reads the log learns whether the effect was made here.
func TestLostClaimTellsOfItsEffect(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"succeeded": {nil, `effect="made: the handler succeeded" error=""`},
		"failed":    {errors.New("boom"), `effect="unknown: the handler failed" error=boom`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.store = forgetful{w.store.(*memdedupe.Store)}
				w.publish(order("1"))
				var log bytes.Buffer
				s := w.subscribe(func(context.Context, bus.Event) error { return c.err }, &consumer.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				synctest.Wait()
				w.drain(s)
				if n := s.Stats().Lost; n != 1 || !strings.Contains(log.String(), "claim lost") || !strings.Contains(log.String(), c.want) {
					t.Errorf("%d lost, want %s:\n%s", n, c.want, &log)
				}
			})
		})
	}
}

// unrenewable is a store that extends no lease.
type unrenewable struct{ *memdedupe.Store }

func (unrenewable) Extend(context.Context, []dedupe.Claim, time.Duration, time.Duration) ([]error, error) {
	return nil, errors.New("out of reach")
}

// TestRunWhoseLeaseEndsIsReported: a handler that was cancelled because its lease could not be
// renewed may have made its effect, and others may make it again: it is logged and counted.
func TestRunWhoseLeaseEndsIsReported(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.store = unrenewable{w.store.(*memdedupe.Store)}
		w.publish(order("1"))
		var log bytes.Buffer
		runs := 0
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			if runs++; runs > 1 {
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}, &consumer.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(2 * time.Minute)
		w.drain(s)
		want := `effect="unknown: the handler failed"`
		if n := s.Stats(); n.Lost != 1 || n.Handled != 1 || n.Failed != 0 || !strings.Contains(log.String(), "claim lost") || !strings.Contains(log.String(), want) {
			t.Errorf("%+v, want one lost, one handled, %s:\n%s", n, want, &log)
		}
	})
}
