package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// errForcedStop is the cause of a handler's context that was cancelled because somebody
// could not wait.
var errForcedStop = errors.New("told to end at once")

// forcedStop cancels handlers when a second signal, or Options.ForceStop, asks to stop at once, and
// counts those that were cut off when the worker ended. Those of a partition that was handed over
// before are events of its next owner, and no part of that.
type forcedStop struct {
	end     *shutdownClock
	ctx     context.Context //nolint:containedctx // ends when a second signal, or Options.ForceStop, asks to stop at once
	cancel  context.CancelCauseFunc
	waiting sync.WaitGroup
	cutOff  atomic.Int64
}

func newForcedStop(forceStop <-chan struct{}, end *shutdownClock) *forcedStop {
	c := &forcedStop{end: end}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.waiting.Go(func() {
		select {
		case <-forceStop:
			c.cancel(errForcedStop)
		case <-c.ctx.Done():
		}
	})
	return c
}

// release is called when no handler runs any more.
func (c *forcedStop) release() {
	c.cancel(nil)
	c.waiting.Wait()
}

// cancelOnStop is the outermost. A run that was cut off counts no attempt.
func (c *forcedStop) cancelOnStop(next consumer.Handler) consumer.Handler {
	return func(outer context.Context, e bus.Event) error {
		if c.ctx.Err() != nil {
			return consumer.Snooze(0)
		}
		ctx, cancel := context.WithCancelCause(outer)
		defer cancel(nil)
		stop := context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) }) //nolint:contextcheck // another one's end
		defer stop()
		err := next(ctx, e)
		if err == nil || consumer.IsPermanent(err) || ctx.Err() == nil {
			return err
		}
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errForcedStop):
			c.cutOff.Add(1)
			return consumer.Snooze(0)
		case errors.Is(cause, consumer.ErrDrainTimeout) && c.end.hasBegun():
			c.cutOff.Add(1)
		}
		return err
	}
}

func (c *forcedStop) cutOffError() error {
	if n := c.cutOff.Load(); n > 0 {
		return fmt.Errorf("%w: %d running handlers were cut off; their events are redelivered", consumer.ErrDrainIncomplete, n)
	}
	return nil
}
