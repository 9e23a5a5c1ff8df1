package consumer

import (
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
)

type batchItemsKey struct{}

// withBatchItems returns a context from which ItemContext finds the runs of a batch.
func withBatchItems(ctx context.Context, items []context.Context) context.Context {
	return context.WithValue(ctx, batchItemsKey{}, items)
}

func batchItems(ctx context.Context) []context.Context {
	items, _ := ctx.Value(batchItemsKey{}).([]context.Context)
	return items
}

// ItemContext returns the context of the run of a batch's i-th event: with its Attempt, its trace,
// and what middleware has added. It ends with ctx too, which is that of a BatchHandler, or derived
// from it. What makes an effect for one event, such as an update of a document that carries a mark,
// is to be given this context. For an i without an event, and for any other ctx, it returns ctx.
func ItemContext(ctx context.Context, i int) context.Context {
	items := batchItems(ctx)
	if i < 0 || i >= len(items) {
		return ctx
	}
	own, cancel := context.WithCancelCause(items[i])
	context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return own
}

// BatchAttempts returns the Attempt of each event of a batch, by its index. ctx is that of a
// BatchHandler, or derived from it; nil for any other.
func BatchAttempts(ctx context.Context) []Attempt {
	items := batchItems(ctx)
	if items == nil {
		return nil
	}
	out := make([]Attempt, len(items))
	for i, item := range items {
		out[i] = AttemptFrom(item)
	}
	return out
}

// newBatchContext returns the context of a batch of these runs. It ends when any of them does. Its
// values are those of the first run, but for what is an event's own.
func newBatchContext(items []context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(items[0]))
	stops := make([]func() bool, len(items), len(items)+1)
	for i, item := range items {
		stops[i] = context.AfterFunc(item, func() { cancel(context.Cause(item)) })
	}
	limited := ctx
	if deadline, ok := earliestDeadline(items); ok {
		var release context.CancelFunc
		limited, release = context.WithDeadline(ctx, deadline)
		stops = append(stops, func() bool { release(); return true })
	}
	limited = context.WithValue(dedupe.WithRun(limited, nil), attemptKey{}, Attempt{})
	return withBatchItems(limited, items), func(cause error) {
		for _, stop := range stops {
			stop()
		}
		cancel(cause)
	}
}

// earliestDeadline is the first deadline of those that there are.
func earliestDeadline(ctxs []context.Context) (earliest time.Time, ok bool) {
	for _, ctx := range ctxs {
		if d, has := ctx.Deadline(); has && (!ok || d.Before(earliest)) {
			earliest, ok = d, true
		}
	}
	return earliest, ok
}
