package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// Each event has its own verdict, found through wrapping, and only what failed uses an attempt.
func TestBatchGivesEachEventItsVerdict(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(6)
		l := newBatchLog()
		var called atomic.Bool
		w.batches(l, func(context.Context, []bus.Event) []error {
			if called.Swap(true) {
				return nil
			}
			return []error{
				nil,
				errors.New("failed"),
				fmt.Errorf("wrapped: %w", consumer.Permanent(errors.New("never"))),
				fmt.Errorf("wrapped: %w", consumer.Snooze(time.Second)),
				consumer.Throttled(time.Second, errors.New("slowly")),
				consumer.RetryAfter(time.Hour, errors.New("in an hour")),
			}
		}, &consumer.BatchOptions{Size: 6}, &consumer.Options{Concurrency: 6})
		pass(2 * time.Hour)
		for i, want := range [][]consumer.Outcome{
			{consumer.OutcomeHandled},
			{consumer.OutcomeFailed, consumer.OutcomeHandled},
			{consumer.OutcomeDead},
			{consumer.OutcomeSnoozed, consumer.OutcomeHandled},
			{consumer.OutcomeDeferred, consumer.OutcomeHandled},
			{consumer.OutcomeFailed, consumer.OutcomeHandled},
		} {
			if got := l.ended(fmt.Sprintf("%04d", i)); !slices.Equal(got, want) {
				t.Errorf("event %d ended as %v, want %v", i, got, want)
			}
		}
		for id, want := range map[string][]int{"0000": {1}, "0001": {1, 2}, "0002": {1}, "0003": {1, 1}, "0004": {1, 1}, "0005": {1, 2}} {
			if got := l.attempts[id]; !slices.Equal(got, want) {
				t.Errorf("event %s had the attempts %v, want %v", id, got, want)
			}
		}
	})
}

func TestEventsWithoutAResultHaveFailed(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(5)
		l := newBatchLog()
		var called atomic.Bool
		w.batches(l, func(context.Context, []bus.Event) []error {
			if !called.Swap(true) {
				return make([]error, 3)
			}
			return nil
		}, &consumer.BatchOptions{Size: 5}, &consumer.Options{Concurrency: 5})
		pass(time.Hour)
		for i := range 5 {
			want := []consumer.Outcome{consumer.OutcomeHandled}
			if i >= 3 {
				want = []consumer.Outcome{consumer.OutcomeFailed, consumer.OutcomeHandled}
			}
			if got := l.ended(fmt.Sprintf("%04d", i)); !slices.Equal(got, want) {
				t.Errorf("event %d ended as %v, want %v", i, got, want)
			}
		}
	})
}

// However a batch fails as a whole, its events run alone, and only the one that is to blame uses an
// attempt. Each keeps its idempotency key.
func TestAPoisonEventCostsOnlyItsOwnAttempt(t *testing.T) {
	for name, fail := range map[string]func(n int) []error{
		"panic":          func(int) []error { panic("poison") },
		"Goexit":         func(int) []error { runtime.Goexit(); return nil },
		"FailBatch":      func(int) []error { return consumer.FailBatch(errors.New("poison")) },
		"wrapped":        func(int) []error { return []error{fmt.Errorf("bulk: %w", consumer.FailBatch(errors.New("poison"))[0])} },
		"too long":       func(n int) []error { return make([]error, n+1) },
		"nested verdict": func(int) []error { return consumer.FailBatch(consumer.RetryAfter(0, errors.New("poison"))) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.orders(10)
				l := newBatchLog()
				w.batches(l, func(ctx context.Context, es []bus.Event) []error {
					for i := range es {
						if !dedupe.RunFrom(consumer.ItemContext(ctx, i)).Begin("effect") {
							t.Error("an event that runs again cannot make its effect again")
						}
					}
					if slices.ContainsFunc(es, func(e bus.Event) bool { return e.ID == "0004" }) {
						return fail(len(es))
					}
					return nil
				}, &consumer.BatchOptions{Size: 10}, &consumer.Options{Concurrency: 10, MaxAttempts: 2})
				pass(time.Hour)
				for i := range 10 {
					id, want, calls := fmt.Sprintf("%04d", i), []consumer.Outcome{consumer.OutcomeHandled}, []int{1, 1}
					if id == "0004" {
						want, calls = []consumer.Outcome{consumer.OutcomeFailed, consumer.OutcomeDead}, []int{1, 1, 2}
					}
					if got := l.ended(id); !slices.Equal(got, want) {
						t.Errorf("event %s ended as %v, want %v", id, got, want)
					}
					if got := l.attempts[id]; !slices.Equal(got, calls) {
						t.Errorf("event %s had the attempts %v, want %v", id, got, calls)
					}
					if keys := slices.Compact(slices.Clone(l.keys[id])); len(keys) != 1 || keys[0] == "" {
						t.Errorf("event %s had the idempotency keys %q, want one", id, keys)
					}
				}
				if !slices.Contains(l.endings(), consumer.BatchEndAlone) {
					t.Errorf("batches ended by %v: none ran alone", l.endings())
				}
			})
		})
	}
}

// A verdict on the receiver is that of every event: nothing is tried one by one while it is down.
func TestABatchThatTheReceiverRefusesIsNotTriedOneByOne(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(10)
		l := newBatchLog()
		w.batches(l, func(context.Context, []bus.Event) []error {
			return consumer.FailBatch(consumer.Snooze(time.Hour))
		}, &consumer.BatchOptions{Size: 10}, &consumer.Options{Concurrency: 10})
		pass(time.Minute)
		if got := l.sizes(); !slices.Equal(got, []int{10}) {
			t.Errorf("batches of %v, want one of 10", got)
		}
		wantOutcomes(t, l, 10, consumer.OutcomeSnoozed)
	})
}

// Claims are renewed while a batch is collected and while it runs.
func TestBatchMayTakeLongerThanTheLease(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(10)
		l := newBatchLog()
		w.batches(l, func(ctx context.Context, _ []bus.Event) []error {
			time.Sleep(10 * time.Second)
			return []error{ctx.Err(), 9: nil}
		}, &consumer.BatchOptions{Size: 20, Wait: 10 * time.Second}, &consumer.Options{Concurrency: 20, Lease: time.Second, AckWait: time.Second})
		pass(time.Minute)
		if got := l.sizes(); !slices.Equal(got, []int{10}) {
			t.Errorf("batches of %v, want one of 10", got)
		}
		wantOutcomes(t, l, 10, consumer.OutcomeHandled)
	})
}

// A batch that reaches the run limit says nothing of its events. They run alone, and the one that
// takes too long uses its own attempts.
func TestARunLimitIsChargedToTheEventThatTakesLong(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(5)
		l := newBatchLog()
		w.batches(l, func(ctx context.Context, es []bus.Event) []error {
			if slices.ContainsFunc(es, func(e bus.Event) bool { return e.ID == "0002" }) {
				<-ctx.Done()
				return consumer.FailBatch(context.Cause(ctx))
			}
			return nil
		}, &consumer.BatchOptions{Size: 5}, &consumer.Options{Concurrency: 5, RunLimit: 10 * time.Second, MaxAttempts: 2})
		pass(time.Hour)
		for i := range 5 {
			id, attempts, last := fmt.Sprintf("%04d", i), []int{1, 1}, consumer.OutcomeHandled
			if id == "0002" {
				attempts, last = []int{1, 1, 2}, consumer.OutcomeDead
			}
			if got := l.attempts[id]; !slices.Equal(got[:2], attempts[:2]) || got[len(got)-1] != attempts[len(attempts)-1] {
				t.Errorf("event %s had the attempts %v, want %v", id, got, attempts)
			}
			if got := l.ended(id); got[len(got)-1] != last {
				t.Errorf("event %s ended as %v, want %s at last", id, got, last)
			}
		}
	})
}

// A drain that takes too long cancels the batch for all its events, with the cause.
func TestDrainTimeoutCancelsTheBatch(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(5)
		l := newBatchLog()
		var cause error
		s := w.batches(l, func(ctx context.Context, _ []bus.Event) []error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return consumer.FailBatch(cause)
		}, &consumer.BatchOptions{Size: 5}, &consumer.Options{Concurrency: 5, Drain: time.Second})
		synctest.Wait()
		w.drain(s)
		if !errors.Is(cause, consumer.ErrDrainTimeout) {
			t.Errorf("the batch was cancelled by %v", cause)
		}
		if got := l.sizes(); !slices.Equal(got, []int{5}) {
			t.Errorf("batches of %v, want one", got)
		}
		wantOutcomes(t, l, 5, consumer.OutcomeGivenBack)
	})
}

// What is cancelled while it waits for its batch leaves it.
func TestAnEventWhoseDeadlineIsOverLeavesItsBatch(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(2)
		l := newBatchLog()
		w.batches(l, allDone, &consumer.BatchOptions{Size: 5, Wait: 10 * time.Second}, &consumer.Options{Concurrency: 5, MaxAttempts: 1, Use: []consumer.Middleware{
			func(next consumer.Handler) consumer.Handler {
				return func(ctx context.Context, e bus.Event) error {
					if e.ID == "0001" {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Second)
						defer cancel()
					}
					return next(ctx, e)
				}
			},
		}})
		pass(time.Minute)
		if !slices.EqualFunc(l.calls, [][]string{{"0000"}}, slices.Equal[[]string]) {
			t.Errorf("batches of %v, want one of the first event", l.calls)
		}
		if got := l.ended("0001"); !slices.Equal(got, []consumer.Outcome{consumer.OutcomeDead}) {
			t.Errorf("the second event ended as %v", got)
		}
	})
}
