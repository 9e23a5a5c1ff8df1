package consumer

import (
	"context"

	"github.com/onceish/onceish/dedupe"
)

// Attempt describes a run to its handler.
type Attempt struct {
	// Number is 1 at first, and one more for each run that ended in a failure. Runs that were
	// Throttled, or Unavailable through no fault of the event, do not count: a handler that returns
	// Throttled until Number grows does so until Options.GiveUp.
	Number int
	// Rerun is how often this attempt was run before and aborted by the server, in mode
	// Transactional. Each run is a new transaction; effects outside of it are made again.
	Rerun int
	// Token is the fencing token of the claim. It grows with every takeover of the event: a larger
	// one is a later owner's. 0 in mode SeenMark.
	Token uint64
	// IdempotencyKey is the same for every attempt and every copy of the event in this group. Pass
	// it to the services that the handler calls.
	IdempotencyKey string
	// Key is what the store knows the event by.
	Key dedupe.Key
}

type attemptKey struct{}

// AttemptFrom returns the Attempt of a handler's context, or the zero Attempt of any other.
func AttemptFrom(ctx context.Context) Attempt {
	a, _ := ctx.Value(attemptKey{}).(Attempt)
	return a
}

// RequireAttempt is AttemptFrom for a handler that needs an idempotency key: without an Attempt it
// returns ErrNoAttempt.
func RequireAttempt(ctx context.Context) (Attempt, error) {
	a := AttemptFrom(ctx)
	if a.IdempotencyKey == "" && a.Key == (dedupe.Key{}) {
		return a, ErrNoAttempt
	}
	return a, nil
}

// WithAttempt returns a context for a test of a handler: that of a new run of the event of a.Key,
// as dedupe.RunFrom finds it.
func WithAttempt(ctx context.Context, a Attempt) context.Context {
	if a.Key != (dedupe.Key{}) {
		ctx = dedupe.WithRun(ctx, dedupe.NewRun(a.Key))
	}
	return context.WithValue(ctx, attemptKey{}, a)
}
