package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

// OnOutage is what a Shared limiter does while its store cannot be used.
type OnOutage int

const (
	// FailOpen lets each process start its share: the limit divided by Members, at least 1 in Per.
	FailOpen OnOutage = iota
	// FailClosed lets nothing start.
	FailClosed
)

// Bounds of SharedOptions and of rates that are shared.
const (
	// DefaultTimeout bounds a reservation in the store.
	DefaultTimeout = 50 * time.Millisecond
	// MaxTimeout is the largest time-out.
	MaxTimeout = 100 * time.Millisecond
	// MaxSharedLog is the largest Limit of a SlidingLog that is shared, for its rows have each
	// start.
	MaxSharedLog = 10_000
)

// minTimeout is the least time that a store is given.
const minTimeout = time.Millisecond

// SharedOptions are the optional settings of NewShared. The zero value has the defaults.
type SharedOptions struct {
	// OnOutage is what happens while the store cannot be used. Default: FailOpen.
	OnOutage OnOutage
	// Members returns how many live processes share the limit. It must not block. Less than 1
	// counts as 1. Nil: 1.
	Members func() int
	// Timeout bounds a reservation in the store, and so each call of Allow: 1 to 100 ms. Default:
	// 50 ms.
	Timeout time.Duration
	// MaxKeys bounds how many keys have a limit of their own, 1 to 10,000,000. Default: 10,000.
	// Keys beyond it share one limit of the same rate, until one of the others is idle.
	MaxKeys int
	// Logger is told of outages and recoveries, of rows that were repaired, and once when MaxKeys
	// is reached. Default: slog.Default().
	Logger *slog.Logger
}

// SharedStats count what a Shared limiter has done since it was made.
type SharedStats struct {
	// Down reports whether the store cannot be used now.
	Down bool
	// Outages is how often that began.
	Outages int
	// LocalStarts were let through by the local share, in outages.
	LocalStarts int
	// Reservations is how many reservations the store was asked for, those that failed included.
	Reservations int
	// Repaired is how many malformed rows were replaced.
	Repaired int
}

// Shared is a Limiter whose keys have one limit over all processes that use the same name in the
// same store. The package comment says what it promises. It is safe for concurrent use, and needs
// no closing: the only goroutine that it starts tries a store that failed, and ends within Timeout.
// A call asks the store at most once, or waits for another call that does.
type Shared struct {
	store   Store
	name    string
	rate    Rate
	options SharedOptions
	log     *slog.Logger
	clock   localClock

	mu     sync.Mutex
	keys   keyTable[sharedKey]
	outage outage
	stats  SharedStats
}

var (
	_ Limiter   = (*Shared)(nil)
	_ KeyCloser = (*Shared)(nil)
)

// sharedKey is what a process knows of a key. Times are the local clock's.
type sharedKey struct {
	// storeKey is under which name the store has it.
	storeKey string
	// row is what was last seen in the store.
	row Row
	// share is what this process may start by itself in outages. Starts that the store grants are
	// counted too, so an outage never begins with a full share. Its closure is that of the key.
	share limitState
	// reserved starts may begin without a call, until reservedUntil.
	reserved      int
	reservedUntil int64
	// refused starts at once, or more, need not be asked for before refusedUntil.
	refused      int
	refusedUntil int64
	// answered is closed when the call in flight is over; nil: there is none.
	answered chan struct{}
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,100}$`)

// NewShared returns a limiter whose limits are in store, under a name of 1 to 100 letters, digits,
// '_' and '-'. It calls nothing; a store that is down when it is needed is an outage. A nil o means
// the defaults. An error names the field that is out of bounds.
func NewShared(store Store, name string, r Rate, o *SharedOptions) (*Shared, error) {
	opts := *cmp.Or(o, &SharedOptions{})
	if opts.Members == nil {
		opts.Members = func() int { return 1 }
	}
	opts.Timeout = cmp.Or(opts.Timeout, DefaultTimeout)
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	if err := validateShared(store, name, &r, &opts); err != nil {
		return nil, err
	}
	keys, err := newKeyTable[sharedKey](opts.MaxKeys, opts.Logger)
	if err != nil {
		return nil, err
	}
	return &Shared{store: store, name: name, rate: r, options: opts, log: opts.Logger.With("limit", name), clock: newLocalClock(), keys: keys}, nil
}

func invalidNameError(name string) error {
	return fmt.Errorf("flow: the name of a shared limit is %q: it must be 1 to 100 letters, digits, '_' and '-'", name)
}

func validateShared(store Store, name string, r *Rate, o *SharedOptions) error {
	if err := r.Validate(); err != nil {
		return err
	}
	switch {
	case store == nil:
		return errors.New("flow: a shared limit needs a store: it is nil")
	case !validName.MatchString(name):
		return invalidNameError(name)
	case r.Strategy == SlidingLog && r.Limit > MaxSharedLog:
		return fmt.Errorf("%w: Limit is %d: it must be at most %d for a %v that is shared", ErrInvalidRate, r.Limit, MaxSharedLog, r.Strategy)
	case o.OnOutage != FailOpen && o.OnOutage != FailClosed:
		return fmt.Errorf("flow: OnOutage is %d: it must be FailOpen or FailClosed", o.OnOutage)
	case o.Timeout < minTimeout || o.Timeout > MaxTimeout:
		return fmt.Errorf("flow: Timeout is %v: it must be %v to %v, or 0 for %v", o.Timeout, minTimeout, MaxTimeout, DefaultTimeout)
	}
	return nil
}

// Rate returns the rate.
func (s *Shared) Rate() Rate { return s.rate }

// Stats returns what was counted.
func (s *Shared) Stats() SharedStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Down = s.outage.down
	return stats
}

// Allow implements Limiter. It blocks for the time-out at most. In an outage it answers at once,
// and refuses, rather than fails, what is more than the local share ever allows.
func (s *Shared) Allow(ctx context.Context, key string, n int) (Decision, error) {
	if err := s.rate.checkCount(n); err != nil {
		return Decision{}, err
	}
	if ctx.Err() != nil {
		return Decision{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	k := s.find(key, now)
	if d, ok := s.answer(ctx, k, now, n); ok {
		return d, nil
	}
	if k.answered == nil {
		s.reserve(ctx, k, n)
	} else if err := s.awaitAnswer(ctx, k.answered); err != nil {
		return Decision{}, err
	}
	if d, ok := s.answer(ctx, k, s.clock.now(), n); ok {
		return d, nil
	}
	return Decision{Limit: s.rate.capacity(), RetryAfter: minRetry}, nil // others took what there was
}

// awaitAnswer waits, without the lock, for the call of another.
func (s *Shared) awaitAnswer(ctx context.Context, answered <-chan struct{}) error {
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answer decides without the store, if that can be.
func (s *Shared) answer(ctx context.Context, k *sharedKey, now int64, n int) (Decision, bool) {
	d := Decision{Limit: s.rate.capacity()}
	share := s.shareOf()
	switch {
	case k.share.closed > now:
		d.RetryAfter = time.Duration(k.share.closed - now)
	case k.reserved >= n && now <= k.reservedUntil:
		k.reserved -= n
		k.share.takeStarts(&share, now, now, 0, n)
		d.Allowed, d.Remaining = true, k.reserved
	case s.outage.down:
		s.tryStore(ctx, k, now)
		d = s.answerInOutage(k, &share, now, n)
	case n >= k.refused && now < k.refusedUntil:
		d.RetryAfter = time.Duration(k.refusedUntil - now)
	default:
		return d, false
	}
	return d, true
}

// shareOf is what one process may start without the store.
func (s *Shared) shareOf() Rate { return s.rate.dividedBy(max(1, s.options.Members())) }

func (s *Shared) find(key string, now int64) *sharedKey {
	k, own := s.keys.find(key,
		func() *sharedKey {
			share := s.shareOf()
			return &sharedKey{share: newState(&share, now)}
		},
		func(k *sharedKey) bool {
			share := s.shareOf()
			return k.answered == nil && k.refusedUntil <= now && k.share.freshAt(&share) <= now
		})
	if k.storeKey == "" {
		k.storeKey = storeKeyFor(s.name, key, own)
	}
	return k
}
