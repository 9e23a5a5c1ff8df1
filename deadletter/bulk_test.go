package deadletter_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
)

func (w *harness) giveUp(n int) {
	w.t.Helper()
	for i := range n {
		w.publish(order(strconv.Itoa(i + 1)))
	}
	w.settle()
}

func TestRedriveAllDoesNotChaseWhatFailsAgain(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.giveUp(150)
		n, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, &deadletter.BulkOptions{PerSecond: 10})
		if err != nil || n != (deadletter.Bulk{Done: 150}) {
			t.Errorf("RedriveAll: %+v, %v; want 150 done", n, err)
		}
		w.settle()
		if rest := w.list(deadletter.Filter{}); len(rest) != 150 {
			t.Errorf("%d letters; want 150 new ones", len(rest))
		}
	})
}

func TestRedriveAllKeepsItsRateAndItsLimit(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.giveUp(100)
		w.mend(true)
		start, last := time.Now(), deadletter.Bulk{}
		n, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, &deadletter.BulkOptions{
			PerSecond: 5, Limit: 50, Progress: func(n deadletter.Bulk) { last = n },
		})
		if err != nil || n.Done != 50 || last != n {
			t.Errorf("RedriveAll: %+v, %v, and %+v by Progress; want 50 done", n, err, last)
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("50 letters at 5 in a second took %v", took)
		}
		w.settle()
		if rest := w.list(deadletter.Filter{}); len(rest) != 50 {
			t.Errorf("%d letters are left; want 50", len(rest))
		}
	})
}

func TestRedriveAllThatIsInterruptedGoesOn(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.giveUp(100)
		w.mend(true)
		stop := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(w.t.Context())
		n, err := w.topic.RedriveAll(ctx, w.store, deadletter.Filter{}, &deadletter.BulkOptions{
			PerSecond: 20, Progress: func(n deadletter.Bulk) {
				if n.Done >= 30 {
					cancel(stop)
				}
			},
		})
		if !errors.Is(err, stop) || n.Done < 30 || n.Done > 40 {
			t.Errorf("RedriveAll: %+v, %v; want it to be interrupted after 30", n, err)
		}
		rest, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, nil)
		if err != nil || n.Done+rest.Done != 100 {
			t.Errorf("RedriveAll, again: %+v, %v; want the rest of 100", rest, err)
		}
		all := make([]string, 100)
		for i := range all {
			all[i] = strconv.Itoa(i + 1)
		}
		w.handledOnce("billing", all...)
	})
}

type unavailable struct{}

func (unavailable) Reopen(context.Context, []dedupe.Key) ([]error, error) {
	return nil, errors.New("no connection")
}

func TestRedriveAllStopsWhenNothingSucceeds(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.giveUp(150)
		failed := 0
		n, err := w.topic.RedriveAll(w.t.Context(), unavailable{}, deadletter.Filter{}, &deadletter.BulkOptions{
			Failed: func(*deadletter.Letter, error) { failed++ },
		})
		if err == nil || n.Done != 0 || n.Failed != failed || failed >= 150 {
			t.Errorf("RedriveAll: %+v, %v, %d by Failed; want it to stop early", n, err, failed)
		}
		if rest := w.list(deadletter.Filter{}); len(rest) != 150 {
			t.Errorf("%d letters are left; want 150", len(rest))
		}
	})
}

func TestDropAllDropsWhatIsSelected(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(bus.Event{ID: "stray", Topic: "dead.billing"})
		w.giveUp(12)
		n, err := w.topic.DropAll(w.t.Context(), deadletter.Filter{ID: "7"}, nil)
		if err != nil || n != (deadletter.Bulk{Done: 1, Failed: 1}) {
			t.Errorf("DropAll: %+v, %v; want one done, and one that is no letter", n, err)
		}
		if _, err := w.topic.DropAll(w.t.Context(), deadletter.Filter{}, &deadletter.BulkOptions{Limit: -1}); err == nil {
			t.Error("a limit below 0 was taken")
		}
		if rest := w.count("dead.>"); rest != 12 {
			t.Errorf("%d events are left; want 11 letters, and one that is none", rest)
		}
	})
}
