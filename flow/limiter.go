package flow

import (
	"context"
	"time"
)

// Limiter bounds how many events may start over time, for each key by itself. It must be safe for
// concurrent use.
type Limiter interface {
	// Allow takes n starts of key if all of them may begin now. If not, it takes none, and the
	// Decision says when to retry. It does not wait for a start to become free; one that asks a
	// store may take as long as the store's time-out. n below 1, and n above what may ever begin at
	// once, is an error. An error takes nothing.
	Allow(ctx context.Context, key string, n int) (Decision, error)
}

// Decision is the answer of a Limiter.
type Decision struct {
	// Allowed reports whether the starts may begin now.
	Allowed bool
	// Limit is how many starts may begin at once when nothing has begun for long.
	Limit int
	// Remaining is how many more could begin now.
	Remaining int
	// RetryAfter is when to retry: then the starts may begin if nobody else takes them. It is
	// zero if they are allowed.
	RetryAfter time.Duration
}

// KeyCloser is a Limiter that can close a key for some time, such as that of a Retry-After.
type KeyCloser interface {
	// CloseFor lets nothing of key start for d. It never shortens a longer closure. It is a
	// duration, for two processes may not agree on the time. It may be repeated.
	CloseFor(ctx context.Context, key string, d time.Duration) error
}

// Wait blocks until n events of key may start, or until ctx ends, with its cause; then none of them
// may.
func Wait(ctx context.Context, l Limiter, key string, n int) error {
	return waitUntilAllowed(ctx, l, key, n, func(time.Duration) error { return nil })
}

// waitUntilAllowed retries until the starts are allowed. Before each wait it calls refuse, whose
// error ends it.
func waitUntilAllowed(ctx context.Context, l Limiter, key string, n int, refuse func(retry time.Duration) error) error {
	var timer *time.Timer
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		d, err := l.Allow(ctx, key, n)
		if err != nil || d.Allowed {
			return err
		}
		retry := max(d.RetryAfter, minRetry)
		if err := refuse(retry); err != nil {
			return err
		}
		if timer == nil {
			timer = time.NewTimer(retry)
			defer timer.Stop() //nolint:gocritic,revive // it is made once
		} else {
			timer.Reset(retry)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// minRetry is how long Wait waits at least before it asks again.
const minRetry = 100 * time.Microsecond
