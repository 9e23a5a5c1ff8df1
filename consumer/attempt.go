package consumer

import (
	"context"

	"github.com/onceish/onceish/dedupe"
)

// Attempt is what a handler may know of its run.
type Attempt struct {
	// Number of the run: 1, then one more for each run that ended in a failure. Runs that were
	// throttled, or unavailable through no fault of the event, do not count: a handler that is
	// Throttled until Number grows is throttled until Options.GiveUp.
	Number int
	// Rerun is how often this attempt was run before and undone by the server, in mode
	// Transactional: each run is a new transaction. What is made outside of the transaction
	// is made again.
	Rerun int
	// Token grows with every takeover of the event: who writes under a larger token is a later
	// owner. 0 in mode SeenMark.
	Token uint64
	// IdempotencyKey is the same for every attempt and every copy of the event, in this group: hand
	// it to the services that the handler calls.
	IdempotencyKey string
	// Key is what the store knows the event by.
	Key dedupe.Key
}

type attemptKey struct{}

// AttemptFrom returns the Attempt of a handler's context; the zero Attempt elsewhere.
func AttemptFrom(ctx context.Context) Attempt {
	a, _ := ctx.Value(attemptKey{}).(Attempt)
	return a
}

// WithAttempt is for tests of handlers. The context is that of a new run of the event of a.Key, as
// dedupe.RunFrom finds it.
func WithAttempt(ctx context.Context, a Attempt) context.Context {
	if a.Key != (dedupe.Key{}) {
		ctx = dedupe.WithRun(ctx, dedupe.NewRun(a.Key))
	}
	return context.WithValue(ctx, attemptKey{}, a)
}
