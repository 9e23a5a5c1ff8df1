package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// answerObserver notes outcomes, and how the answers that followed were sent.
type answerObserver struct{ told []string }

func (o *answerObserver) Observe(n consumer.Observation) {
	o.told = append(o.told, fmt.Sprintf("%d %s", n.At.Sequence, n.Outcome))
}

func (o *answerObserver) ObserveAnswer(at bus.Position, err error) {
	o.told = append(o.told, fmt.Sprintf("%d answered %v", at.Sequence, err))
}

func TestAnswerIsObservedAfterItsOutcome(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &answerObserver{}
		w.publish(order("good"), order("late"))
		s := w.subscribe(func(ctx context.Context, e bus.Event) error {
			if e.ID == "late" && consumer.AttemptFrom(ctx).Number == 1 {
				return errors.New("not yet")
			}
			return nil
		}, &consumer.Options{Observer: o, Concurrency: 1})
		time.Sleep(time.Minute)
		w.drain(s)
		want := "1 handled, 1 answered <nil>, 2 failed, 2 answered <nil>, 2 handled, 2 answered <nil>"
		if got := strings.Join(o.told, ", "); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

func TestAnswerThatIsNotSentIsObserved(t *testing.T) {
	inBubble(t, func(w *harness) {
		o := &answerObserver{}
		w.publish(order("1"))
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), muteBus{w.bus}, "order.placed", "billing", w.store, nothing,
			&consumer.Options{Observer: o, Logger: slog.New(slog.DiscardHandler)})
		must(w.t, err)
		time.Sleep(time.Second)
		w.drain(s)
		want := "1 handled, 1 answered no connection"
		if got := strings.Join(o.told, ", "); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// muteBus sends no answers.
type muteBus struct{ bus.Bus }

func (b muteBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return muteSource{s}, err
}

type muteSource struct{ bus.Source }

func (s muteSource) Fetch(ctx context.Context, max int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, max)
	for i, d := range ds {
		ds[i] = bus.NewDelivery(d.Event, d.Arrivals, d.At, muteAnswerer{})
	}
	return ds, err
}

type muteAnswerer struct{}

func (muteAnswerer) Answer(context.Context, bus.Answer) error { return errors.New("no connection") }
func (muteAnswerer) Extend(context.Context) error             { return nil }
