package deadletter_test

import (
	"errors"
	"testing"

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
