package outboxtest

import (
	"context"
	"time"

	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/outbox"
)

// FaultyQueue is an outbox whose calls go as planned. It tells of no new rows: it is
// no outbox.Watcher.
type FaultyQueue struct {
	inner outbox.Queue
	plan  faulty.Plan
}

var (
	_ outbox.Queue       = (*FaultyQueue)(nil)
	_ outbox.DueReleaser = (*FaultyQueue)(nil)
)

// Faulty wraps a queue.
func Faulty(inner outbox.Queue, plan faulty.Plan) *FaultyQueue { return &FaultyQueue{inner, plan} }

// Acquire implements outbox.Queue.
func (q *FaultyQueue) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	return faulty.Answer(ctx, q.plan, faulty.Acquire, func() ([]outbox.Lease, error) { return q.inner.Acquire(ctx, owner, lease) })
}

// Release implements outbox.Queue.
func (q *FaultyQueue) Release(ctx context.Context, owner string, leases []outbox.Lease) error {
	return faulty.Act(ctx, q.plan, faulty.Release, func() error { return q.inner.Release(ctx, owner, leases) })
}

// Pending implements outbox.Queue.
func (q *FaultyQueue) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	return faulty.Answer(ctx, q.plan, faulty.Pending, func() (outbox.Page, error) { return q.inner.Pending(ctx, a) })
}

// Settle implements outbox.Queue.
func (q *FaultyQueue) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	return faulty.Answer(ctx, q.plan, faulty.SettleRows, func() ([]bool, error) { return q.inner.Settle(ctx, rs) })
}

// ReleaseDue implements outbox.DueReleaser, if the inner queue does. Else it is
// errors.ErrUnsupported.
func (q *FaultyQueue) ReleaseDue(ctx context.Context, most int) (outbox.Released, error) {
	return faulty.Answer(ctx, q.plan, faulty.ReleaseDue, func() (outbox.Released, error) { return releaseDueOf(ctx, q.inner, most) })
}
