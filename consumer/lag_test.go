package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

func TestBehindIsTheAgeOfTheOldestEventThatIsNotSettled(t *testing.T) {
	inBubble(t, func(w *harness) {
		release := make(chan struct{})
		s := w.subscribe(func(_ context.Context, e bus.Event) error {
			if e.ID == "slow" {
				<-release
			}
			return nil
		}, nil)
		behind := func() time.Duration {
			d, err := s.Behind(w.t.Context())
			must(w.t, err)
			return d
		}
		w.publish(order("done"))
		time.Sleep(time.Hour)
		if d := behind(); d != 0 {
			t.Errorf("behind by %v, and nothing is left", d)
		}
		w.publish(order("slow"))
		time.Sleep(time.Minute)
		w.publish(order("later"))
		time.Sleep(time.Minute)
		if d := behind(); d != 2*time.Minute {
			t.Errorf("behind by %v, want 2 minutes", d)
		}
		close(release)
		time.Sleep(time.Minute)
		if d := behind(); d != 0 {
			t.Errorf("behind by %v after all was handled", d)
		}
	})
}

// plainBus has none of a bus's optional interfaces.
type plainBus struct{ bus.Bus }

func TestBehindOfABusThatReadsNothingIsUnsupported(t *testing.T) {
	inBubble(t, func(w *harness) {
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), plainBus{w.bus}, "order.placed", "billing", w.store, nothing,
			&consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		if _, err := s.Behind(w.t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		w.drain(s)
	})
}
