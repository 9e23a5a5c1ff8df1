package deadletter_test

import (
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
)

// A letter is found by its own id, and by that of its event while one letter of it alone counts.
func TestLetterIsFoundByItsIDAndByItsEvents(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"), order("2"))
		w.settle()
		l := w.list(deadletter.Filter{ID: "1"})[0]
		edit := w.edit(&l, "edited")
		for id, want := range map[string]string{"1": edit, edit: edit, l.ID: l.ID} {
			got, err := w.topic.Find(w.t.Context(), "billing", id)
			if must(w.t, err); got.ID != want || got.Event.Data == nil {
				w.t.Errorf("%s: found %+v, want %s", id, got, want)
			}
		}
		if _, err := w.topic.Find(w.t.Context(), "billing", "3"); !errors.Is(err, deadletter.ErrNoLetter) {
			w.t.Errorf("an id without a letter: %v", err)
		}
		if _, err := w.topic.Find(w.t.Context(), "shipping", "1"); !errors.Is(err, deadletter.ErrNoLetter) {
			w.t.Errorf("a letter of another group: %v", err)
		}
	})
}

// Two letters of one event, of which none supersedes the other, are not taken for one.
func TestOfTwoLettersOfAnEventNoneIsFound(t *testing.T) {
	inBubble(t, func(w *harness) {
		first, second := storedLetter(1), storedLetter(1)
		second.ID += "0"
		second.Headers = second.Headers.Clone()
		second.Headers.Set("Onceish-Dead-Letter", second.ID)
		second = second.WithControl(bus.Control{Letter: second.ID})
		_, err := w.bus.Publish(w.t.Context(), first, second)
		must(w.t, err)
		if _, err := w.topic.Find(w.t.Context(), "billing", "1"); !errors.Is(err, deadletter.ErrAmbiguous) {
			w.t.Errorf("the event's id: %v", err)
		}
		if l, err := w.topic.Find(w.t.Context(), "billing", first.ID); err != nil || l.ID != first.ID {
			w.t.Errorf("its own id: %+v, %v", l, err)
		}
	})
}

// TestDropUpToAPreviewLeavesLaterLetters: a letter that nobody has counted stays, also where others
// have deleted counted ones meanwhile, so that the limit would reach it.
func TestDropUpToAPreviewLeavesLaterLetters(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"), order("2"), order("3"))
		w.settle()
		p, err := w.topic.Preview(w.t.Context(), deadletter.Filter{Group: "billing"}, 0)
		if must(w.t, err); p.Selected != 3 || p.Last != p.First[2].Position {
			w.t.Fatalf("%+v", p)
		}
		must(w.t, errors.Join(w.topic.Drop(w.t.Context(), p.First[0])...))
		time.Sleep(time.Second)
		w.publish(order("4"))
		w.settle()
		n, err := w.topic.DropAll(w.t.Context(), deadletter.Filter{Group: "billing", Until: p.Last.Stored.Add(1)}, &deadletter.BulkOptions{Limit: p.Selected})
		if left := w.list(deadletter.Filter{}); err != nil || n.Done != 2 || len(left) != 1 || left[0].Event.ID != "4" {
			w.t.Errorf("dropped %+v, %v; left %+v", n, err, left)
		}
	})
}
