package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

type tagKey struct{}

// ItemContext is the context of an event's own run: its attempt, its run for effects that carry a
// mark, and what middleware has added. It ends with the batch's.
func TestItemContextIsThatOfTheEvent(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(3)
		l := newBatchLog()
		hasRun := false
		w.batches(l, func(ctx context.Context, es []bus.Event) []error {
			if a := consumer.AttemptFrom(ctx); a != (consumer.Attempt{}) || dedupe.RunFrom(ctx) != nil {
				t.Errorf("the context of the batch is that of an event: %v", a)
			}
			for i, e := range es {
				own := consumer.ItemContext(ctx, i)
				a := consumer.AttemptFrom(own)
				if a.Key.ID != e.ID || dedupe.RunFrom(own).Key() != a.Key || own.Value(tagKey{}) != e.ID || a != consumer.BatchAttempts(ctx)[i] {
					t.Errorf("event %s has the context of %v", e.ID, a.Key)
				}
			}
			if consumer.ItemContext(ctx, 3) != ctx || consumer.ItemContext(ctx, -1) != ctx {
				t.Error("an event that is none has a context")
			}
			derived, cancel := context.WithCancel(ctx)
			own := consumer.ItemContext(derived, 0)
			cancel()
			<-own.Done()
			hasRun = true
			return nil
		}, &consumer.BatchOptions{Size: 3}, &consumer.Options{Concurrency: 3, Use: []consumer.Middleware{
			func(next consumer.Handler) consumer.Handler {
				return func(ctx context.Context, e bus.Event) error { return next(context.WithValue(ctx, tagKey{}, e.ID), e) }
			},
		}})
		pass(time.Minute)
		wantOutcomes(t, l, 3, consumer.OutcomeHandled)
		if !hasRun {
			t.Error("there was no batch")
		}
	})
}

func TestBatchDeadlineIsTheEarliestOfItsEvents(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(3)
		l := newBatchLog()
		var left time.Duration
		w.batches(l, func(ctx context.Context, _ []bus.Event) []error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil
		}, &consumer.BatchOptions{Size: 3}, &consumer.Options{Concurrency: 3, Use: []consumer.Middleware{
			func(next consumer.Handler) consumer.Handler {
				return func(ctx context.Context, e bus.Event) error {
					ctx, cancel := context.WithTimeout(ctx, map[string]time.Duration{"0000": time.Hour, "0001": time.Minute, "0002": 2 * time.Hour}[e.ID])
					defer cancel()
					return next(ctx, e)
				}
			},
		}})
		pass(10 * time.Second)
		if left != time.Minute {
			t.Errorf("the batch had %v, want 1m", left)
		}
	})
}

func TestBatchWorksInModeSeenMark(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(20)
		l := newBatchLog()
		w.batches(l, allDone, &consumer.BatchOptions{Size: 10}, &consumer.Options{Concurrency: 10, Mode: consumer.SeenMark})
		pass(time.Minute)
		wantOutcomes(t, l, 20, consumer.OutcomeHandled)
		if got := l.sizes(); len(got) > 4 {
			t.Errorf("batches of %v", got)
		}
	})
}

// What cannot work is refused when it is subscribed, also behind Options.Use.
func TestBatchesThatCannotWorkAreRefused(t *testing.T) {
	inBubble(t, func(w *harness) {
		for want, c := range map[string]struct {
			o consumer.BatchOptions
			h consumer.BatchHandler
			s consumer.Options
		}{
			"raise Concurrency to 17 or more":                {o: consumer.BatchOptions{Size: 17}, h: allDone, s: consumer.Options{Concurrency: 16}},
			"raise Concurrency to 100 or more":               {h: allDone, s: consumer.Options{Use: []consumer.Middleware{func(h consumer.Handler) consumer.Handler { return h }}}},
			"BatchOptions.Size is -1: it must be from 1 to":  {o: consumer.BatchOptions{Size: -1}, h: allDone},
			"BatchOptions.Wait is 1ns: it must be from 1ms":  {o: consumer.BatchOptions{Size: 1, Wait: 1}, h: allDone},
			"BatchOptions.Bytes is -1: it must be from 1 to": {o: consumer.BatchOptions{Size: 1, Bytes: -1}, h: allDone},
			"so lower Wait":                           {o: consumer.BatchOptions{Size: 1, Wait: time.Minute}, h: allDone, s: consumer.Options{RunLimit: time.Minute}},
			"the handler of Batch is nil":             {o: consumer.BatchOptions{Size: 1}},
			"each event has a transaction of its own": {o: consumer.BatchOptions{Size: 1}, h: allDone, s: consumer.Options{Mode: consumer.Transactional}},
		} {
			_, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", "billing", w.store, consumer.Batch(c.h, &c.o), &c.s)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("refused with %v, want %q", err, want)
			}
		}
	})
}

// A Handler of Batch that middleware hides from the checks still works: its batches are as large as
// there are slots.
func TestAHiddenBatchIsBoundedByTheSlots(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.orders(20)
		var mu sync.Mutex
		var sizes []int
		w.subscribe(consumer.Batch(func(_ context.Context, es []bus.Event) []error {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(es))
			return nil
		}, &consumer.BatchOptions{Size: 1000, Wait: time.Hour}), &consumer.Options{Concurrency: 5, RunLimit: 2 * time.Hour})
		pass(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(sizes) != 4 || slices.Max(sizes) != 5 {
			t.Errorf("batches of %v, want four of 5", sizes)
		}
	})
}

// Outside of a subscription each batch has one event.
func TestBatchOutsideOfASubscriptionHasOneEvent(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		results []error
		want    error
	}{
		"done": {nil, nil}, "done by index": {[]error{nil}, nil}, "failed": {[]error{failed}, failed}, "as a whole": {consumer.FailBatch(failed), failed},
	} {
		h := consumer.Batch(func(ctx context.Context, es []bus.Event) []error {
			if len(es) != 1 || consumer.AttemptFrom(ctx).Number != 3 || consumer.AttemptFrom(consumer.ItemContext(ctx, 0)).Number != 3 {
				t.Errorf("%s: %d events, attempt %v", name, len(es), consumer.AttemptFrom(ctx))
			}
			return c.results
		}, nil)
		if got := h(consumer.WithAttempt(t.Context(), consumer.Attempt{Number: 3}), order("1")); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
