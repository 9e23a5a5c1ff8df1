package outboxtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/outbox"
)

// errFault is what calls fail with that were made to.
var errFault = errors.New("outboxtest: a fault that was asked for")

// call names a method of outbox.Queue.
type call string

const (
	acquire call = "acquire"
	release call = "release"
	pending call = "pending"
	settle  call = "settle"

	releaseDue call = "release due rows"
)

// spy is a queue as one drainer sees it: it counts the calls, and makes them fail as planned.
type spy struct {
	inner   outbox.Queue
	changed *changes

	mu      sync.Mutex
	before  func(c call) error // instead of the call
	after   func(c call) error // although it was done
	counts  map[call]int
	longest time.Duration // a call took, without what was planned
}

func newSpy(inner outbox.Queue, c *changes) *spy {
	return &spy{inner: inner, changed: c, counts: map[call]int{}}
}

// fails has calls fail from now on.
func (s *spy) fails(before, after func(c call) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *spy) count(c call) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[c]
}

// took is how long its longest call took.
func (s *spy) took() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

func through[T any](s *spy, c call, f func() (T, error)) (T, error) {
	defer s.changed.tell()
	s.mu.Lock()
	s.counts[c]++
	before, after := s.before, s.after
	s.mu.Unlock()
	var none T
	if before != nil {
		if err := before(c); err != nil {
			return none, err
		}
	}
	began := time.Now()
	out, err := f()
	s.mu.Lock()
	s.longest = max(s.longest, time.Since(began))
	s.mu.Unlock()
	if after != nil {
		if err := after(c); err != nil {
			return none, err
		}
	}
	return out, err
}

// Acquire implements outbox.Queue.
func (s *spy) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	return through(s, acquire, func() ([]outbox.Lease, error) { return s.inner.Acquire(ctx, owner, lease) })
}

// Release implements outbox.Queue.
func (s *spy) Release(ctx context.Context, owner string, leases []outbox.Lease) error {
	_, err := through(s, release, func() (struct{}, error) { return struct{}{}, s.inner.Release(ctx, owner, leases) })
	return err
}

// Pending implements outbox.Queue.
func (s *spy) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	return through(s, pending, func() (outbox.Page, error) { return s.inner.Pending(ctx, a) })
}

// Settle implements outbox.Queue.
func (s *spy) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	return through(s, settle, func() ([]bool, error) { return s.inner.Settle(ctx, rs) })
}

// ReleaseDue implements outbox.DueReleaser.
func (s *spy) ReleaseDue(ctx context.Context, most int) (outbox.Released, error) {
	return through(s, releaseDue, func() (outbox.Released, error) { return releaseDueOf(ctx, s.inner, most) })
}

// releaseDueOf is ReleaseDue of a queue, if it has that.
func releaseDueOf(ctx context.Context, q outbox.Queue, most int) (outbox.Released, error) {
	if r, ok := q.(outbox.DueReleaser); ok {
		return r.ReleaseDue(ctx, most)
	}
	return outbox.Released{}, errors.ErrUnsupported
}
