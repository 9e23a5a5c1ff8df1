package flow

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// TokenBucket is a Limiter for this process, over all keys.
type TokenBucket struct {
	interval time.Duration // between two starts
	burst    int
	mu       sync.Mutex
	next     time.Time // when the bucket will be full again
}

var _ Limiter = (*TokenBucket)(nil)

// NewRate returns a TokenBucket of perSecond starts, of which burst may happen at once. It starts
// full.
func NewRate(perSecond float64, burst int) (*TokenBucket, error) {
	if !(perSecond > 0 && perSecond <= 1e9) {
		return nil, fmt.Errorf("flow: a rate of %v starts a second: it must be above 0 and at most 1e9", perSecond)
	}
	if burst < 1 {
		return nil, fmt.Errorf("flow: a burst of %d: it must be at least 1", burst)
	}
	return &TokenBucket{interval: time.Duration(float64(time.Second) / perSecond), burst: burst}, nil
}

// Allow implements Limiter.
func (b *TokenBucket) Allow(_ context.Context, _ string, n int) (Decision, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.next.Before(now) {
		b.next = now
	}
	after := b.next.Add(time.Duration(n) * b.interval)
	if wait := after.Sub(now) - time.Duration(b.burst)*b.interval; wait > 0 {
		return Decision{Limit: b.burst, RetryAfter: wait}, nil
	}
	b.next = after
	return Decision{Allowed: true, Limit: b.burst}, nil
}
