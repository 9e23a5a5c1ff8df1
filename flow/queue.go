package flow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

var (
	// ErrQueueFull is returned when as many callers wait as may. Nothing was taken.
	ErrQueueFull = errors.New("queue of the limit is full")
	// ErrWaitTooLong is returned when the wait would be longer than it may be. Nothing was taken.
	ErrWaitTooLong = errors.New("limit lets nothing start in time")
)

// RefusedError is the error of a Queue. It is an ErrQueueFull or an ErrWaitTooLong.
type RefusedError struct {
	// Err is the reason.
	Err error
	// RetryAfter is when the starts might have begun.
	RetryAfter time.Duration
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%v: retry after %v", e.Err, e.RetryAfter) }

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// Queue bounds how many wait for a Limiter at once, and for how long. It promises no order among
// those that wait. It is safe for concurrent use.
type Queue struct {
	limiter    Limiter
	maxWaiting int64
	maxWait    time.Duration
	waiting    atomic.Int64
}

// NewQueue returns a queue before l, in which up to maxWaiting callers wait, at least 1, each for
// maxWait at most, at least 1 ms.
func NewQueue(l Limiter, maxWaiting int, maxWait time.Duration) (*Queue, error) {
	switch {
	case l == nil:
		return nil, errors.New("flow: a queue needs a limiter: it is nil")
	case maxWaiting < 1:
		return nil, fmt.Errorf("flow: maxWaiting is %d: it must be at least 1", maxWaiting)
	case maxWait < time.Millisecond:
		return nil, fmt.Errorf("flow: maxWait is %v: it must be at least 1ms", maxWait)
	}
	return &Queue{limiter: l, maxWaiting: int64(maxWaiting), maxWait: maxWait}, nil
}

// Wait blocks until n starts of key may begin. It refuses at once, with a RefusedError, if as many
// wait as may, or as soon as the limiter says that it would take too long. If ctx ends first, Wait
// returns its cause. An error takes nothing.
func (q *Queue) Wait(ctx context.Context, key string, n int) error {
	var until time.Time
	defer func() {
		if !until.IsZero() {
			q.waiting.Add(-1)
		}
	}()
	return waitUntilAllowed(ctx, q.limiter, key, n, func(retry time.Duration) error {
		now := time.Now()
		if until.IsZero() {
			if q.waiting.Add(1) > q.maxWaiting {
				q.waiting.Add(-1)
				return &RefusedError{ErrQueueFull, retry}
			}
			until = now.Add(q.maxWait)
		}
		if now.Add(retry).After(until) {
			return &RefusedError{ErrWaitTooLong, retry}
		}
		return nil
	})
}

// Waiting returns how many wait now.
func (q *Queue) Waiting() int { return int(q.waiting.Load()) }
