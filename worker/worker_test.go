package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

func TestWorkerRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	nothing := func(context.Context, bus.Event) error { return nil }
	for want, topics := range map[string][]string{
		`"g" has nothing to do`:              nil,
		`is subscribed to "t" and to "t"`:    {"t", "t"},
		`is subscribed to "a.*" and to "*.b`: {"x", "a.*", "*.b"},
	} {
		w := r.worker(t, Options{})
		closed := false
		w.Defer(func() error {
			closed = true
			return nil
		})
		for _, topic := range topics {
			w.Handle(topic, nothing, nil)
		}
		if err := w.Run(t.Context()); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) || !closed {
			t.Errorf("%q: %v, closed: %v, want %q", topics, err, closed, want)
		}
	}
	if _, err := New("", Over(r.bus, r.store), nil); !errors.Is(err, ErrUsage) {
		t.Errorf("a worker without a group: %v", err)
	}
	if _, err := New("g", nil, nil); err == nil {
		t.Error("a worker without connections")
	}
}

// What a handler publishes to another subscription of its worker is handled before the
// worker is empty.
func TestUntilEmptyWaitsForWhatHandlersPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.worker(t, Options{UntilEmpty: true})
		hops := 0
		hop := func(to string) consumer.Handler {
			return func(ctx context.Context, e bus.Event) error {
				if hops++; hops == 20 {
					return nil
				}
				_, err := r.bus.Publish(ctx, bus.Event{ID: e.ID + "'", Topic: to})
				return err
			}
		}
		w.Handle("t", hop("u"), nil)
		w.Handle("u", hop("t"), nil)
		if err := w.Run(t.Context()); err != nil || hops != 20 {
			t.Errorf("%d hops, want 20 (%v)", hops, err)
		}
	})
}

// A subscription that cannot begin ends those that have, and what was deferred is
// closed after them.
func TestRunLeavesNothingBehindWhenItCannotSubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.worker(t, Options{})
		closed := false
		w.Handle("t", func(context.Context, bus.Event) error {
			if closed {
				t.Error("closed while a handler ran")
			}
			return nil
		}, nil)
		w.Handle("u", func(context.Context, bus.Event) error { return nil }, &consumer.Options{Concurrency: -1})
		w.Defer(func() error {
			closed = true
			return errActor
		})
		err := w.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "Concurrency") || !errors.Is(err, errActor) || !closed {
			t.Errorf("%v, closed: %v", err, closed)
		}
	})
}

// endingBus ends the context of whoever subscribes to u.
type endingBus struct {
	bus.Bus
	end context.CancelFunc
}

func (b endingBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	if topic == "u" {
		b.end()
		return nil, ctx.Err()
	}
	return b.Bus.Subscribe(ctx, topic, group, o)
}

func TestRunThatIsToldToEndWhileItSubscribesHasNotFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		ctx, end := context.WithCancel(t.Context())
		w, err := New("g", Over(endingBus{r.bus, func() { synctest.Wait(); end() }}, r.store), &Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		started := false
		handler := func(context.Context, bus.Event) error {
			started = true
			return nil
		}
		w.Handle("t", handler, nil)
		w.Handle("u", handler, nil)
		if err := w.Run(ctx); err != nil || started {
			t.Errorf("%v, and a handler started before all was subscribed: %v", err, started)
		}
	})
}

func TestDeferredAreClosedLastFirstAfterTheDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.worker(t, Options{UntilEmpty: true})
		var order []string
		for _, name := range []string{"first", "second"} {
			w.Defer(func() error {
				order = append(order, name)
				return nil
			})
		}
		w.Handle("t", func(context.Context, bus.Event) error {
			order = append(order, "handled")
			return nil
		}, nil)
		if err := w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(order, " "); got != "handled second first" {
			t.Errorf("order: %s", got)
		}
	})
}
