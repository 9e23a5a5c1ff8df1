package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// A handler that was cut off when its partition was handed over, while the worker went on, does not
// make the worker's own drain an incomplete one.
func TestWhatAHandOverCutsOffIsNoPartOfTheDrain(t *testing.T) {
	t.Parallel()
	end := newShutdownClock(defaultDrain)
	c := newForcedStop(nil, end)
	defer c.release()
	cutOff := func() {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		h := c.cancelOnStop(func(ctx context.Context, _ bus.Event) error {
			cancel(consumer.ErrDrainTimeout)
			<-ctx.Done()
			return ctx.Err()
		})
		if err := h(ctx, bus.Event{}); err == nil {
			t.Error("a handler that was cut off has succeeded")
		}
	}
	cutOff()
	if err := c.cutOffError(); err != nil {
		t.Errorf("after a hand-over: %v; want nil", err)
	}
	end.startClock()
	cutOff()
	if err := c.cutOffError(); !errors.Is(err, consumer.ErrDrainIncomplete) {
		t.Errorf("after a drain: %v; want ErrDrainIncomplete", err)
	}
}
