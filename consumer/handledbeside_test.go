package consumer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// An event that the run of another one has settled counts as handled, in stats and for observers,
// and without an attempt of its own; another copy of it counts as a duplicate.
func TestAnEventThatWasHandledBesideAnotherIsNoDuplicate(t *testing.T) {
	inBubble(t, func(w *harness) {
		log := newBatchLog()
		var beside sync.Map // positions
		handler := func(ctx context.Context, _ bus.Event) error {
			key := consumer.AttemptFrom(ctx).Key
			key.ID = "2"
			beside.Store(uint64(2), true)
			return errors.Join(second(w.store.Mark(ctx, []dedupe.Mark{{Key: key, State: dedupe.Done, TTL: time.Hour}}))...)
		}
		s := w.subscribe(handler, &consumer.Options{Concurrency: 1, Observer: log, HandledBeside: func(at bus.Position) bool {
			_, ok := beside.Load(at.Sequence)
			return ok
		}})
		one, two := order("1"), order("2")
		one.Key, two.Key = "k", "k"
		w.publish(one, two)
		time.Sleep(time.Minute)
		w.again(two, 1)
		time.Sleep(time.Minute)
		stats := s.Stats()
		w.drain(s)
		if len(w.runs) != 1 || stats.Handled != 2 || stats.Duplicates != 1 {
			t.Errorf("%d runs, %d handled, %d duplicates; want 1, 2 and 1", len(w.runs), stats.Handled, stats.Duplicates)
		}
		if got := log.ended("2"); len(got) != 2 || got[0] != consumer.OutcomeHandled || got[1] != consumer.OutcomeDuplicate {
			t.Errorf("event 2 ended as %v, want handled, then duplicate", got)
		}
	})
}
