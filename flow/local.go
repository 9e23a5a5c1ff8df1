package flow

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Local is a Limiter for this process, with a limit of its own for each key. It is safe for
// concurrent use, never blocks, and needs no closing.
type Local struct {
	clock localClock
	mu    sync.Mutex
	rate  Rate
	keys  keyTable[limitState]
}

var (
	_ Limiter   = (*Local)(nil)
	_ KeyCloser = (*Local)(nil)
)

// LocalOptions are the optional settings of NewLocal. The zero value has the defaults.
type LocalOptions struct {
	// MaxKeys bounds how many keys have a limit of their own, 1 to 10,000,000. Default: 10,000.
	// Keys beyond it share one limit of the same rate, until one of the others is idle.
	MaxKeys int
	// Logger is told once when MaxKeys is reached. Default: slog.Default().
	Logger *slog.Logger
}

// NewLocal returns a limiter in which each key may start as the rate says. A nil o means the
// defaults. An error names the field that is out of bounds.
func NewLocal(r Rate, o *LocalOptions) (*Local, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if o == nil {
		o = &LocalOptions{}
	}
	keys, err := newKeyTable[limitState](o.MaxKeys, o.Logger)
	return &Local{clock: newLocalClock(), rate: r, keys: keys}, err
}

// Rate returns the current rate.
func (l *Local) Rate() Rate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// SetRate changes the rate of all keys from now on. What was left of a key stays left, up to what
// the new rate allows; so a change makes no burst, and a raised limit is felt at once. It takes
// time for each key that is remembered.
func (l *Local) SetRate(r Rate) error {
	if err := r.Validate(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	l.keys.each(func(s *limitState) { s.convertRate(&l.rate, &r, now) })
	l.rate = r
	return nil
}

// Allow implements Limiter.
func (l *Local) Allow(_ context.Context, key string, n int) (Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.rate.checkCount(n); err != nil {
		return Decision{}, err
	}
	now := l.clock.now()
	return l.find(key, now).decide(&l.rate, now, n), nil
}

// CloseFor implements KeyCloser. A key beyond MaxKeys closes all that share its limit.
func (l *Local) CloseFor(_ context.Context, key string, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	l.find(key, now).closeUntil(now + int64(min(d, maxPer)))
	return nil
}

func (l *Local) find(key string, now int64) *limitState {
	s, _ := l.keys.find(key,
		func() *limitState { s := newState(&l.rate, now); return &s },
		func(s *limitState) bool { return s.freshAt(&l.rate) <= now })
	return s
}

// decide takes n starts that begin now, or none.
func (s *limitState) decide(r *Rate, now int64, n int) Decision {
	taken, wait := s.takeStarts(r, now, now, n, n)
	d := Decision{Allowed: taken == n, Limit: r.capacity(), RetryAfter: wait}
	if s.closed <= now {
		d.Remaining = s.free(r, max(now, s.at))
	}
	return d
}
