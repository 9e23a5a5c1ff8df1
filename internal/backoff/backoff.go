package backoff

import (
	"context"
	"time"
)

// Doubled returns base, doubled so many times, and limit at most.
func Doubled(base time.Duration, times int, limit time.Duration) time.Duration {
	for ; times > 0 && base < limit; times-- {
		base *= 2
	}
	return min(base, limit)
}

// Sleep waits for d, and returns the cause of the end of ctx if that comes first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Wait waits for a signal, for d, or for the end of ctx, and reports whether it was the signal.
func Wait(ctx context.Context, signal <-chan struct{}, d time.Duration) (signaled bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-signal:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
