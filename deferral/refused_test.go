package deferral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
)

// A summary that is refused for good because it has too many events is made of fewer: in a few
// calls, and not of one event each.
func TestASummaryThatIsTooLargeIsMadeOfFewerEvents(t *testing.T) {
	inBubble(t, func(w *world) {
		refused := 0
		p := w.work(perMinute(1), workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
			if len(es) > 100 {
				refused++
				return consumer.Permanent(bus.ErrTooLarge)
			}
			return w.sum(ctx, key, es)
		}})
		all := orders("a", 0, 301)
		w.publish(all...)
		time.Sleep(2 * time.Minute)
		w.wantOnce(t, all, 0)
		w.wantOrder(t)
		if n := len(w.sums()); n > 4 || refused > 6 {
			t.Errorf("%d summaries were made and %d refused, want 4 and 6 at most", n, refused)
		}
		if letters := w.deadLetters(); len(letters) > 0 {
			t.Errorf("letters are %+v, want none", letters)
		}
		wantNothingLeft(t, p)
	})
}

// What a handler says of the first event itself needs no second run: it is dead-lettered at once.
func TestAnItemThatIsRefusedIsNotRunAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		runs := 0
		w.work(perMinute(1), workerOptions{sum: deferral.ForEach(func(ctx context.Context, e bus.Event) error {
			if e.ID == "a-001" {
				runs++
				return consumer.Permanent(errors.New("bad event"))
			}
			return w.sum(ctx, e.Key, []bus.Event{e})
		})})
		all := orders("a", 0, 20)
		w.publish(all...)
		time.Sleep(2 * time.Minute)
		w.wantOnce(t, append(all[:1:1], all[2:]...), 0)
		if letters := w.deadLetters(); runs != 1 || len(letters) != 1 || letters[0].Event.ID != "a-001" {
			t.Errorf("a-001 was run %d times, and letters are %+v; want it to be dead-lettered after one run", runs, letters)
		}
	})
}
