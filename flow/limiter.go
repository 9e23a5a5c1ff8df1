package flow

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Limiter spreads starts over time. It must be safe for concurrent use.
type Limiter interface {
	// Wait blocks until n events of key may start, or until ctx ends, with its error; then
	// none of them may.
	Wait(ctx context.Context, key string, n int) error
}

// Rate is a Limiter that allows so many starts a second over all keys, in this process. It is a
// token bucket.
type Rate struct {
	interval time.Duration // between two starts
	burst    time.Duration // of how many starts, as time
	mu       sync.Mutex
	next     time.Time // when the bucket will be full again
}

var _ Limiter = (*Rate)(nil)

// NewRate returns a Rate of perSecond starts, of which burst may happen at once. It starts full.
// perSecond must be positive and at most 1e9, burst at least 1.
func NewRate(perSecond float64, burst int) (*Rate, error) {
	if !(perSecond > 0 && perSecond <= 1e9) {
		return nil, fmt.Errorf("flow: a rate of %v starts a second: it must be above 0 and at most 1e9", perSecond)
	}
	if burst < 1 {
		return nil, fmt.Errorf("flow: a burst of %d: it must be at least 1", burst)
	}
	interval := time.Duration(float64(time.Second) / perSecond)
	return &Rate{interval: interval, burst: time.Duration(burst) * interval}, nil
}

// Wait implements Limiter. A caller that gives up waiting returns its places.
func (r *Rate) Wait(ctx context.Context, _ string, n int) error {
	wait := r.reservePlaces(time.Now(), n)
	if wait <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		r.returnPlaces(n)
		return context.Cause(ctx)
	}
}

// returnPlaces gives places to later callers. Those that wait already wait as long as before.
func (r *Rate) returnPlaces(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = r.next.Add(-time.Duration(n) * r.interval)
}

// reservePlaces takes n places, and returns how long it is until the last of them.
func (r *Rate) reservePlaces(now time.Time, n int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.Before(now) {
		r.next = now
	}
	r.next = r.next.Add(time.Duration(n) * r.interval)
	return r.next.Sub(now) - r.burst
}
