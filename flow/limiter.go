package flow

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Limiter spreads starts over time. Safe for concurrent use.
type Limiter interface {
	// Wait blocks until n events of key may start, or until ctx ends, with its error; then
	// none of them may.
	Wait(ctx context.Context, key string, n int) error
}

// Rate is a Limiter of so many starts a second over all keys, in this process: a token bucket.
type Rate struct {
	interval time.Duration // between two starts
	burst    time.Duration // how far behind the schedule may be, as time
	mu       sync.Mutex
	next     time.Time // when the bucket will be full again
}

var _ Limiter = (*Rate)(nil)

// NewRate returns a Rate of perSecond starts, of which burst may come at once. It starts full.
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

// Wait implements Limiter. Whoever gives up waiting gives its place back.
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

// returnPlaces lets those who come later have the places; who waits already waits as long
// as it was told.
func (r *Rate) returnPlaces(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = r.next.Add(-time.Duration(n) * r.interval)
}

// reservePlaces takes n places and returns how long it is until the last of them.
func (r *Rate) reservePlaces(now time.Time, n int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.Before(now) {
		r.next = now
	}
	r.next = r.next.Add(time.Duration(n) * r.interval)
	return r.next.Sub(now) - r.burst
}
