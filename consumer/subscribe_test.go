package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
)

func TestEventPublishedManyTimesRunsOnce(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.again(order("1"), 3)
		s := w.subscribe(nothing, nil)
		synctest.Wait()
		w.again(order("1"), 3)
		time.Sleep(10 * time.Second) // copies that were held come back
		w.drain(s)
		if st := s.Stats(); w.starts() != 1 || st.Handled != 1 || st.Duplicates < 2 {
			t.Fatalf("%d runs of one event, stats %+v", w.starts(), st)
		}
	})
}

func TestFailedRunIsRepeatedUnderTheSameIdempotencyKey(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			if consumer.AttemptFrom(ctx).Number < 3 {
				return errors.New("not yet")
			}
			return nil
		}, nil)
		time.Sleep(time.Minute)
		w.drain(s)
		if len(w.runs) != 3 || s.Stats().Handled != 1 {
			t.Fatalf("runs: %+v, stats: %+v", w.runs, s.Stats())
		}
		for i, a := range w.runs {
			if a.Number != i+1 || a.IdempotencyKey != w.runs[0].IdempotencyKey || len(a.IdempotencyKey) != 32 {
				t.Errorf("attempt %d is %+v", i+1, a)
			}
			if i > 0 && a.Token <= w.runs[i-1].Token {
				t.Errorf("the token did not grow: %d, then %d", w.runs[i-1].Token, a.Token)
			}
		}
	})
}

func TestVerdicts(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		handler consumer.Handler
		starts  int
		reason  string
	}{
		"permanent is not tried again": {
			func(context.Context, bus.Event) error { return fmt.Errorf("wrapped: %w", consumer.Permanent(boom)) }, 1, "permanent: wrapped: boom",
		},
		"attempts end": {func(context.Context, bus.Event) error { return boom }, 3, "failed 3 times, the last time with: boom"},
		"a panic is a failure": {
			func(context.Context, bus.Event) error { panic("ouch") }, 3, "failed 3 times, the last time with: panic: ouch",
		},
		"data that does not decode": {
			consumer.JSON(func(context.Context, bus.Event, []int) error { return nil }), 1, "permanent: decode the data as []int",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.publish(order("1"))
				s := w.subscribe(c.handler, &consumer.Options{MaxAttempts: 3})
				time.Sleep(time.Hour)
				w.drain(s)
				ls := w.letters()
				if w.starts() != c.starts || len(ls) != 1 || !strings.HasPrefix(ls[0].Reason, c.reason) {
					t.Fatalf("%d starts, letters %+v", w.starts(), ls)
				}
				if string(ls[0].Event.Data) != `{"cents":5}` || ls[0].Event.ID != "1" || ls[0].Attempts != c.starts || ls[0].Event.Topic != "order.placed" {
					t.Errorf("the letter does not carry the event: %+v", ls[0])
				}
				if strings.Contains(c.reason, "ouch") && !strings.Contains(ls[0].Stack, "subscribe_test.go") {
					t.Errorf("no stack of the panic: %q", ls[0].Stack)
				}
			})
		})
	}
}

func TestSnoozeCountsNoAttemptAndRetryAfterIsHonoured(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		s := w.subscribe(func(_ context.Context, _ bus.Event) error {
			switch w.starts() {
			case 1:
				return consumer.Snooze(time.Hour)
			case 2:
				return consumer.RetryAfter(2*time.Hour, errors.New("busy"))
			}
			return nil
		}, &consumer.Options{MaxAttempts: 2})
		time.Sleep(24 * time.Hour)
		w.drain(s)
		at := w.startedAt()
		if len(at) != 3 || at[1].Sub(at[0]) < time.Hour || at[2].Sub(at[1]) < 2*time.Hour || w.runs[1].Number != 1 || w.runs[2].Number != 2 {
			t.Fatalf("starts at %v, attempts %+v", at, w.runs)
		}
	})
}

func TestIDReusedForAnotherPayloadIsDeadLettered(t *testing.T) {
	inBubble(t, func(w *harness) {
		first, second := order("1"), order("1")
		second.Data = []byte(`{"cents":7}`)
		w.publish(first, second)
		s := w.subscribe(nothing, nil)
		synctest.Wait()
		w.again(second, 2)
		w.again(first, 2)
		time.Sleep(time.Minute)
		w.drain(s)
		ls := w.letters()
		if w.starts() != 1 || len(ls) != 1 || !strings.HasPrefix(ls[0].Reason, "id_reused") || string(ls[0].Event.Data) != `{"cents":7}` {
			t.Fatalf("%d starts, letters %+v", w.starts(), ls)
		}
	})
}

func TestPauseStartsNothingAndGivesBackWhatIsClaimed(t *testing.T) {
	inBubble(t, func(w *harness) {
		release := make(chan struct{})
		var e []bus.Event
		for i := range 600 {
			e = append(e, order(fmt.Sprint(i)))
		}
		w.publish(e...)
		s := w.subscribe(func(context.Context, bus.Event) error { <-release; return nil }, nil)
		synctest.Wait()
		s.Pause()
		close(release)
		before := w.starts()
		time.Sleep(time.Hour)
		if st := s.Stats(); w.starts() != before || st.InFlight != 0 {
			t.Fatalf("%d handlers started while paused, stats %+v", w.starts()-before, st)
		}
		s.Resume()
		time.Sleep(time.Minute)
		w.drain(s)
		if st := s.Stats(); st.Handled != 600 || w.starts() != 600 {
			t.Fatalf("after the pause: %d starts, stats %+v", w.starts(), st)
		}
	})
}

func TestDrainWaitsForHandlersAndCancelsThemAtItsTimeOut(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("quick"), order("slow"))
		s := w.subscribe(func(ctx context.Context, e bus.Event) error {
			if e.ID == "quick" {
				time.Sleep(5 * time.Second)
				return ctx.Err()
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}, &consumer.Options{Drain: 10 * time.Second})
		synctest.Wait()
		w.drain(s)
		if st := s.Stats(); st.Handled != 1 || st.Failed != 0 || st.GivenBack != 1 {
			t.Fatalf("stats %+v", st)
		}
	})
}

func TestDrainReportsAHandlerThatDoesNotReturn(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		release := make(chan struct{})
		s := w.subscribe(func(context.Context, bus.Event) error { <-release; return nil }, nil)
		synctest.Wait()
		if err := s.Drain(context.Background()); !errors.Is(err, consumer.ErrDrainIncomplete) || !strings.Contains(err.Error(), "1 handlers did not return") {
			t.Errorf("got %v", err)
		}
		close(release)
	})
}

func TestHandlerThatIgnoresItsContextFailsAtTheRunLimit(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		release := make(chan struct{})
		s := w.subscribe(func(context.Context, bus.Event) error {
			if w.starts() == 1 {
				<-release
			}
			return nil
		}, &consumer.Options{RunLimit: time.Minute})
		time.Sleep(2 * time.Minute)
		err := s.Healthy()
		if err == nil || !strings.Contains(err.Error(), "did not return at the run limit") || s.Stats().Failed != 1 {
			t.Fatalf("healthy: %v, stats: %+v", err, s.Stats())
		}
		close(release)
		time.Sleep(10 * time.Minute)
		if err := s.Healthy(); err != nil || s.Stats().Handled != 1 {
			t.Fatalf("healthy: %v, stats: %+v", err, s.Stats())
		}
		w.drain(s)
	})
}

func TestEventsOfOneKeyRunInOrderAlsoOverABackoff(t *testing.T) {
	inBubble(t, func(w *harness) {
		var ran []string
		var e []bus.Event
		for i := range 50 {
			ev := order(fmt.Sprintf("%02d", i))
			ev.Key = "customer-1"
			e = append(e, ev)
		}
		w.publish(e...)
		s := w.subscribe(func(ctx context.Context, e bus.Event) error {
			if e.ID == "07" && consumer.AttemptFrom(ctx).Number < 4 {
				return errors.New("later")
			}
			ran = append(ran, e.ID) // no lock: they run one after the other
			return nil
		}, nil)
		time.Sleep(time.Hour)
		w.drain(s)
		for i, id := range ran {
			if id != fmt.Sprintf("%02d", i) {
				t.Fatalf("out of order: %v", ran)
			}
		}
		if len(ran) != 50 {
			t.Fatalf("ran %d of 50: %v", len(ran), ran)
		}
	})
}

func TestEventsInBackoffDoNotHoldUpFreshOnes(t *testing.T) {
	inBubble(t, func(w *harness) {
		var e []bus.Event
		for i := range 1000 {
			e = append(e, order(fmt.Sprintf("bad-%d", i)))
		}
		w.publish(e...)
		s := w.subscribe(func(_ context.Context, e bus.Event) error {
			if strings.HasPrefix(e.ID, "bad") {
				return consumer.RetryAfter(time.Hour, errors.New("no"))
			}
			return nil
		}, nil)
		time.Sleep(10 * time.Second)
		w.publish(order("fresh"))
		time.Sleep(time.Second)
		if st := s.Stats(); st.Handled != 1 || st.Failed != 1000 {
			t.Fatalf("stats %+v", st)
		}
		w.drain(s)
	})
}

func TestGateAndLimitHoldBackStartsAndDuplicatesEatNoTokens(t *testing.T) {
	inBubble(t, func(w *harness) {
		l := &counter{}
		w.again(order("1"), 5)
		s := w.subscribe(nothing, &consumer.Options{Limit: l, Gates: []flow.Gate{l}})
		time.Sleep(time.Minute)
		w.drain(s)
		if l.waits.Load() != 1 || l.enters.Load() != 1 || l.leaves.Load() != 1 {
			t.Fatalf("limit asked %d times, gate %d, left %d", l.waits.Load(), l.enters.Load(), l.leaves.Load())
		}
	})
}

type counter struct{ waits, enters, leaves atomic.Int32 }

func (c *counter) Allow(context.Context, string, int) (flow.Decision, error) {
	c.waits.Add(1)
	return flow.Decision{Allowed: true}, nil
}

func (c *counter) Enter(context.Context) (func(error), error) {
	c.enters.Add(1)
	return func(error) { c.leaves.Add(1) }, nil
}

func TestGateThatStaysShutGivesBack(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		shut := gate(func(ctx context.Context) (func(error), error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		s := w.subscribe(nothing, &consumer.Options{Gates: []flow.Gate{shut}})
		time.Sleep(5 * time.Minute)
		if st := s.Stats(); w.starts() != 0 || st.GivenBack == 0 || st.Failed != 0 {
			t.Fatalf("stats %+v", st)
		}
		w.drain(s)
	})
}

type gate func(context.Context) (func(error), error)

func (g gate) Enter(ctx context.Context) (func(error), error) { return g(ctx) }

func TestSeenMarkNeedsNoClaimer(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.store = bare{w.store}
		_, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", "billing", w.store, nothing, nil)
		if !errors.Is(err, consumer.ErrNotClaimer) {
			t.Fatalf("claimed mode over a minimal store: %v", err)
		}
		w.again(order("1"), 3)
		s := w.subscribe(nothing, &consumer.Options{Mode: consumer.SeenMark})
		time.Sleep(time.Minute)
		w.again(order("1"), 3)
		time.Sleep(time.Minute)
		w.drain(s)
		if w.starts() != 1 {
			t.Fatalf("%d starts", w.starts())
		}
	})
}

// bare hides everything but dedupe.Store.
type bare struct{ dedupe.Store }

func TestGroupThatIsLostGoesOnWhereItWas(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &consumer.Options{TTL: time.Hour, RunLimit: time.Minute, Backoff: consumer.Backoff{Max: time.Minute}}
		w.publish(order("1"), order("2"))
		s := w.subscribe(nothing, o)
		time.Sleep(2 * time.Hour) // every mark has expired
		must(t, w.bus.DeleteGroup("order.*", "billing"))
		w.publish(order("3"))
		time.Sleep(time.Minute)
		w.drain(s)
		if w.starts() != 3 {
			t.Fatalf("%d starts of 3 events", w.starts())
		}
	})
}

// copied is a bus on which one topic is only a copy of another stream's.
type copied struct {
	bus.Bus

	topic string
}

func (c copied) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	info, err := c.Bus.Topic(ctx, topic, group, from)
	info.ReadOnly = topic == c.topic
	return info, err
}

// Dead letters that nobody stores where they are looked for are refused at the start, not at the
// first letter.
func TestLettersNeedAStreamThatTakesThem(t *testing.T) {
	t.Parallel()
	b, err := membus.New(nil)
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	_, err = consumer.SubscribeExactlyOnce(t.Context(), copied{b, "dead.billing"}, "order.*", "billing", store, nothing, nil)
	if !errors.Is(err, consumer.ErrDeadLetterTopic) || !strings.Contains(err.Error(), "takes nothing") {
		t.Errorf("got %v, want ErrDeadLetterTopic", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{
		{Name: "orders", Topics: []string{"order.>"}},
		{Name: "dead", Topics: []string{"dead.>"}},
		{Name: "queue", Topics: []string{"queue.>"}, WorkQueue: true},
	}})
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	for name, c := range map[string]struct {
		topic string
		o     consumer.Options
		want  string
	}{
		"no stream":           {"nowhere", consumer.Options{}, "no stream"},
		"bad topic":           {"a..b", consumer.Options{}, "empty token"},
		"concurrency":         {"order.*", consumer.Options{Concurrency: -1}, "Options.Concurrency is -1"},
		"ttl":                 {"order.*", consumer.Options{TTL: time.Minute}, "Options.TTL is 1m0s, but an event may be redelivered up to 20m30s later"},
		"dead letter nowhere": {"order.*", consumer.Options{DeadLetter: "nowhere"}, "dead-letter topic cannot be used"},
		"dead letter matched": {"order.*", consumer.Options{DeadLetter: "order.dead"}, "receives \"order.dead\" itself"},
		"dead letter queue":   {"order.*", consumer.Options{DeadLetter: "queue.dead"}, "work-queue or interest retention"},
		"two starts":          {"order.*", consumer.Options{From: bus.Start{Latest: true, Time: time.Now()}}, "both Latest and Time"},
	} {
		_, err := consumer.SubscribeExactlyOnce(t.Context(), b, c.topic, "billing", store, nothing, &c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
