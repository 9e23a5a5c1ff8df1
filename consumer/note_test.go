package consumer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// What a run has noted, the next one finds, also that of another process, and no other event does.
func TestANoteIsKeptForLaterRuns(t *testing.T) {
	inBubble(t, func(w *harness) {
		failing := func(ctx context.Context, e bus.Event) error {
			if e.ID == "1" && consumer.AttemptFrom(ctx).Note == "" {
				must(t, consumer.KeepNote(ctx, "decided"))
			}
			return errors.New("later")
		}
		s := w.subscribe(failing, &consumer.Options{Backoff: consumer.Backoff{Base: time.Second, Max: time.Second}})
		w.publish(order("1"), order("2"))
		time.Sleep(3 * time.Second)
		w.drain(s)
		s = w.subscribe(nothing, nil)
		time.Sleep(time.Minute)
		w.drain(s)
		notes := make(map[string][]string)
		for _, a := range w.runs {
			notes[a.Key.ID] = append(notes[a.Key.ID], a.Note)
		}
		if one := notes["1"]; len(one) < 3 || one[0] != "" || one[1] != "decided" || one[len(one)-1] != "decided" {
			t.Errorf("notes of event 1 by run: %q, want none in the first run and \"decided\" in all others", one)
		}
		for _, note := range notes["2"] {
			if note != "" {
				t.Errorf("event 2 has the note %q, want none", note)
			}
		}
	})
}

func TestNoNoteIsKeptWhereItWouldNotLast(t *testing.T) {
	if err := consumer.KeepNote(consumer.WithAttempt(t.Context(), consumer.Attempt{}), "x"); !errors.Is(err, consumer.ErrNoNotes) {
		t.Errorf("outside of a run: %v, want ErrNoNotes", err)
	}
	inBubble(t, func(w *harness) {
		var kept error
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			kept = consumer.KeepNote(ctx, "x")
			return nil
		}, &consumer.Options{Mode: consumer.SeenMark})
		w.publish(order("1"))
		time.Sleep(time.Minute)
		w.drain(s)
		if !errors.Is(kept, consumer.ErrNoNotes) {
			t.Errorf("in mode SeenMark: %v, want ErrNoNotes", kept)
		}
	})
}

func TestANoteOfAClaimThatIsTakenOverIsRefused(t *testing.T) {
	inBubble(t, func(w *harness) {
		var kept error
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			if kept == nil {
				must(t, errors.Join(second(w.store.Mark(ctx, []dedupe.Mark{{Key: consumer.AttemptFrom(ctx).Key, State: dedupe.Done, TTL: time.Hour}}))...))
				kept = consumer.KeepNote(ctx, "x")
			}
			return nil
		}, nil)
		w.publish(order("1"))
		time.Sleep(time.Minute)
		w.drain(s)
		if !errors.Is(kept, dedupe.ErrSuperseded) {
			t.Errorf("%v, want ErrSuperseded", kept)
		}
	})
}

func second(errs []error, err error) []error { return append(errs, err) }
