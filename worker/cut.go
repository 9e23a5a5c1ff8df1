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

// errHurry is the cause of a handler's context that was cancelled because somebody could not wait.
var errHurry = errors.New("told to end at once")

// cut cancels handlers when somebody is in a hurry, and counts those that were cut off.
type cut struct {
	ctx     context.Context //nolint:containedctx // ends when somebody is in a hurry
	cancel  context.CancelCauseFunc
	waiting sync.WaitGroup
	off     atomic.Int64
}

func newCut(hurry <-chan struct{}) *cut {
	c := &cut{}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.waiting.Go(func() {
		select {
		case <-hurry:
			c.cancel(errHurry)
		case <-c.ctx.Done():
		}
	})
	return c
}

// end is called when no handler runs any more.
func (c *cut) end() {
	c.cancel(nil)
	c.waiting.Wait()
}

// middleware is the outermost. A run that was cut off counts no attempt.
func (c *cut) middleware(next consumer.Handler) consumer.Handler {
	return func(outer context.Context, e bus.Event) error {
		ctx, cancel := context.WithCancelCause(outer)
		defer cancel(nil)
		defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
		err := next(ctx, e)
		if err == nil || consumer.IsPermanent(err) || ctx.Err() == nil {
			return err
		}
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errHurry):
			c.off.Add(1)
			return consumer.Snooze(0)
		case errors.Is(cause, consumer.ErrDrainTimeout):
			c.off.Add(1)
		}
		return err
	}
}

func (c *cut) err() error {
	if n := c.off.Load(); n > 0 {
		return fmt.Errorf("%w: %d running handlers were cut off; their events come again", consumer.ErrDrainIncomplete, n)
	}
	return nil
}
