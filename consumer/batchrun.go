package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// batchOutcome is how the call of a BatchHandler ended.
type batchOutcome struct {
	results []error
	failure error // of the batch as a whole; nil: results count
}

// runBatch calls the handler for a batch, and gives its items their results. It has a goroutine of
// its own.
func (c *batchCollector) runBatch(batch *eventBatch, filled time.Duration, why BatchEnd) {
	items := batch.items
	c.engine.sortByStream(items)
	c.engine.observers.ObserveBatch(BatchRun{Size: len(items), Bytes: batch.bytes, Filled: filled, End: why})
	if len(items) == 1 {
		items[0].next = runsItself
		close(batch.done)
		return
	}
	ctx, cancel := newBatchContext(contextsOf(items))
	stop := context.AfterFunc(ctx, func() {
		if tookTooLong(context.Cause(ctx)) {
			c.rememberAlone(items) // now, for the handler may never return
		}
	})
	out := batchOutcome{failure: errGoexit} // unless the handler returns
	defer func() {
		if stop(); tookTooLong(context.Cause(ctx)) {
			c.rememberAlone(items)
		}
		settleItems(items, out, context.Cause(ctx))
		cancel(nil)
		close(batch.done)
	}()
	out = callBatch(ctx, batch.handler, items)
}

// tookTooLong reports whether a batch was cancelled for what may be the fault of one of its events.
// Whose it is shows when they run alone.
func tookTooLong(cause error) bool {
	return cause != nil && !errors.Is(cause, ErrLeaseLost) && !errors.Is(cause, ErrDrainTimeout) && !errors.Is(cause, dedupe.ErrClosed)
}

// callBatch calls the handler. A panic is a failure of the batch as a whole.
func callBatch(ctx context.Context, b *batchHandler, items []*batchItem) (out batchOutcome) {
	defer func() {
		if p := recover(); p != nil {
			out = batchOutcome{failure: fmt.Errorf("panic: %v", p)}
		}
	}()
	events := make([]bus.Event, len(items))
	for i, item := range items {
		events[i] = item.event
	}
	results := b.handle(ctx, events)
	return batchOutcome{results: results, failure: wholeFailure(results, len(items))}
}

func contextsOf(items []*batchItem) []context.Context {
	out := make([]context.Context, 0, len(items))
	for _, item := range items {
		out = append(out, item.ctx)
	}
	return out
}

// settleItems gives items their results. cause is why the context of the batch has ended; nil if it
// has not.
func settleItems(items []*batchItem, out batchOutcome, cause error) {
	for i, item := range items {
		err := out.failure
		if err == nil {
			err = resultAt(out.results, i, len(items))
		}
		switch {
		case err == nil:
		case cause != nil && (out.failure != nil || isInterruption(err, cause)):
			item.result = interruptedError(cause)
		case out.failure == nil || blamesNoEvent(err):
			item.result = err
		default:
			item.next = runsAgain
		}
	}
}

// isInterruption reports whether an error says that a context has ended.
func isInterruption(err, cause error) bool {
	return errors.Is(err, cause) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// runAgain runs an event alone whose batch failed as a whole. What the batch took is not the
// event's: if there was too little time left, it runs alone once more, and no attempt is counted.
func (c *batchCollector) runAgain(ctx context.Context, b *batchHandler, e bus.Event) error {
	err := c.runAlone(WithAttempt(ctx, AttemptFrom(ctx)), b, e) // another run to dedupe.RunFrom
	if cause := context.Cause(ctx); err != nil && tookTooLong(cause) {
		c.rememberAlone([]*batchItem{{ctx: ctx}})
		return interruptedError(cause)
	}
	return err
}

// runAlone runs an event in a batch of one, and has that observed.
func (c *batchCollector) runAlone(ctx context.Context, b *batchHandler, e bus.Event) error {
	c.engine.observers.ObserveBatch(BatchRun{Size: 1, Bytes: len(e.Data), End: BatchEndAlone})
	return b.runAlone(ctx, e)
}
