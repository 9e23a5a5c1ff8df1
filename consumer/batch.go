package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// BatchHandler makes the effects of several events at once. It returns a result for each event, by
// its index: nil once its effect is made, else an error, with the verdicts of a Handler (Permanent,
// RetryAfter, Snooze, Throttled, Unavailable). A nil list says that all are done. In a list that is
// too short the events without a result have failed. FailBatch says that the batch failed as a
// whole; so do a panic and a list that is too long.
//
// The events are in the order of the stream, of one partition where the topic has some, and at most
// one of each order key is among them. ctx ends, with its cause, when that of any of their runs
// does, and has the earliest of their deadlines. It is that of the run in a batch of one; with more
// events it has no Attempt: ItemContext and BatchAttempts have those of its events. A BatchHandler
// that does not end with its ctx keeps the slots of all its events. It is called by several
// goroutines at once, each time for other events.
type BatchHandler func(ctx context.Context, es []bus.Event) []error

// BatchOptions bound a batch. The zero value means the defaults.
type BatchOptions struct {
	// Size is how many events a batch has at most. SubscribeExactlyOnce refuses one above
	// Options.Concurrency, which could never be reached. Default: 100.
	Size int
	// Wait is how long a batch waits for more events, from its first one. It counts as a part of
	// the run: it must be shorter than Options.RunLimit. From 1 ms to 1 h. Default: 50 ms.
	Wait time.Duration
	// Bytes bounds the data of a batch. An event with more makes a batch of its own. From 1 to 64
	// MiB. Default: 1 MiB.
	Bytes int
}

// The defaults of BatchOptions.
const (
	DefaultBatchSize  = 100
	DefaultBatchWait  = 50 * time.Millisecond
	DefaultBatchBytes = 1 << 20
)

// BatchRanges are the ranges of the fields of BatchOptions, for programs that let people set them.
type BatchRanges struct {
	Size, Bytes Limit[int]
	Wait        Limit[time.Duration]
}

// BatchLimits returns the ranges that SubscribeExactlyOnce checks. Size is also at most
// Options.Concurrency, and Wait shorter than Options.RunLimit.
func BatchLimits() BatchRanges {
	return BatchRanges{Size: Limit[int]{1, 100_000}, Bytes: Limit[int]{1, 64 << 20}, Wait: Limit[time.Duration]{time.Millisecond, time.Hour}}
}

// Batch returns a Handler that collects the events of runs that are under way at once, and calls f
// for all of them. Each has its own claim, attempts and mark, as with any Handler. o may be nil.
//
// A batch ends when it has Size events, when Wait is over since its first one, before its data
// would exceed Bytes, when the subscription is paused or drains, and when every slot that may be
// busy waits in it. So its events hold a slot each: set Options.Concurrency to the size, or to
// twice as much for the next batch to be collected while one is handled. A crash repeats all that
// is in flight, as ever (Options.MaxUnmarked).
//
// A batch that failed as a whole says nothing of its events: FailBatch, a panic, a list of results
// that is too long. Its events run again at once, each in a batch of its own, under the same
// idempotency keys: only what happens then counts as an attempt, so an event that spoils its batch
// costs the others none. If the run limit ends a batch, no attempt is counted either, and its
// events run alone the next time, in this process. If the lease of an event is lost, or draining
// takes too long, its batch is cancelled; what had no result then is redelivered without an
// attempt.
//
// SubscribeExactlyOnce refuses options that are out of bounds, and mode Transactional, in which an
// event has a transaction of its own. Middleware around the Handler hides it from these checks: set
// Options.Use instead. A hidden one makes batches of one in mode Transactional, and of Concurrency
// at most. Outside of a subscription, such as in a test, each batch has one event.
func Batch(f BatchHandler, o *BatchOptions) Handler {
	b := &batchHandler{handle: f}
	if o != nil {
		b.o = *o
	}
	b.o.Size = cmp.Or(b.o.Size, DefaultBatchSize)
	b.o.Wait = cmp.Or(b.o.Wait, DefaultBatchWait)
	b.o.Bytes = cmp.Or(b.o.Bytes, DefaultBatchBytes)
	return b.handleEvent
}

// FailBatch returns the results of a batch that failed as a whole, for a reason that says nothing
// of its events, such as a bulk write that was refused: its events run again at once, one by one.
// If err is Throttled, Unavailable or a Snooze, that is the result of every event instead, for then
// it is not an event's fault. FailBatch(nil) is nil.
func FailBatch(err error) []error {
	if err == nil {
		return nil
	}
	return []error{wholeBatchError{err}}
}

// wholeBatchError is the result of a batch as a whole.
type wholeBatchError struct{ error }

// Unwrap returns the cause.
func (f wholeBatchError) Unwrap() error { return f.error }

// batchHandler is what Batch returns a method of.
type batchHandler struct {
	o      BatchOptions
	handle BatchHandler
}

type (
	batchProbeKey     struct{} // of a *batchProbe
	batchCollectorKey struct{} // of a *batchCollector
)

// batchProbe is how a subscription finds out about its handler.
type batchProbe struct{ found *batchHandler }

// handleEvent is the Handler.
func (b *batchHandler) handleEvent(ctx context.Context, e bus.Event) error {
	if p, ok := ctx.Value(batchProbeKey{}).(*batchProbe); ok {
		p.found = b
		return nil
	}
	if c, ok := ctx.Value(batchCollectorKey{}).(*batchCollector); ok {
		return c.runEvent(ctx, b, e)
	}
	return b.runAlone(ctx, e)
}

// batchHandlerOf returns what is behind a Handler of Batch; nil if it is another. All Handlers of
// Batch, and no others, have the code of its method, and calling one for a probe runs nothing.
func batchHandlerOf(h Handler) *batchHandler {
	own := (&batchHandler{}).handleEvent
	if reflect.ValueOf(h).Pointer() != reflect.ValueOf(own).Pointer() {
		return nil
	}
	p := &batchProbe{}
	_ = h(context.WithValue(context.Background(), batchProbeKey{}, p), bus.Event{}) // it returns nil
	return p.found
}

// checkBatch refuses a Handler of Batch that cannot do what it is to do.
func (o *Options) checkBatch(h Handler) error {
	b := batchHandlerOf(h)
	if b == nil {
		return nil
	}
	size, wait, l := b.o.Size, b.o.Wait, BatchLimits()
	err := errors.Join(
		l.Size.check("BatchOptions.Size", size),
		l.Wait.check("BatchOptions.Wait", wait),
		l.Bytes.check("BatchOptions.Bytes", b.o.Bytes),
	)
	switch {
	case b.handle == nil:
		return errors.New("the handler of Batch is nil")
	case err != nil:
		return err
	case o.Mode == Transactional:
		return errors.New("Options.Mode is Transactional, in which each event has a transaction of its own: use another mode for a handler of Batch, or no Batch")
	case size > o.Concurrency:
		return fmt.Errorf("BatchOptions.Size is %d and Options.Concurrency %d: each event of a batch holds a slot, so raise Concurrency to %d or more, or lower Size",
			size, o.Concurrency, size)
	case wait >= o.RunLimit:
		return fmt.Errorf("BatchOptions.Wait is %v and Options.RunLimit %v: a batch is collected within the run limit, so lower Wait", wait, o.RunLimit)
	}
	return nil
}

// runAlone handles an event in a batch of one. A panic is the caller's.
func (b *batchHandler) runAlone(ctx context.Context, e bus.Event) error {
	errs := b.handle(withBatchItems(ctx, []context.Context{ctx}), []bus.Event{e})
	if err := wholeFailure(errs, 1); err != nil {
		return err
	}
	return resultAt(errs, 0, 1)
}

// wholeFailure is why a batch of that many events failed as a whole; nil if it did not.
func wholeFailure(errs []error, events int) error {
	for _, err := range errs {
		if f, ok := errors.AsType[wholeBatchError](err); ok {
			return f.error
		}
	}
	if len(errs) > events {
		return fmt.Errorf("the batch handler returned %d results for %d events: none of them can be trusted; return one for each, by its index", len(errs), events)
	}
	return nil
}

// resultAt is the result of one of that many events.
func resultAt(errs []error, i, events int) error {
	switch {
	case errs == nil:
		return nil
	case i >= len(errs):
		return fmt.Errorf("the batch handler returned %d results for %d events, and this one has none: return one for each, by its index, or nil if all are done", len(errs), events)
	}
	return errs[i]
}

// blamesNoEvent reports whether the failure of a batch is a verdict on what all events meet.
func blamesNoEvent(err error) bool { return IsThrottled(err) || IsUnavailable(err) || IsSnooze(err) }

// interruptedError is the result of an event whose batch was cancelled for another's sake. It is
// given back, and no attempt is counted.
func interruptedError(cause error) error {
	return verdictError{kind: protocol.NotBegun, cause: fmt.Errorf("the batch was cancelled: %w", cause)}
}
