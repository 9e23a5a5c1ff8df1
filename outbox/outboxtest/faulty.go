package outboxtest

import (
	"context"
	"time"

	"github.com/onceish/onceish/internal/testing/faults"
	"github.com/onceish/onceish/outbox"
)

// FaultyQueue is an outbox whose calls go as planned. It tells of no new rows: it is no outbox.Watcher.
type FaultyQueue struct {
	inner outbox.Queue
	plan  faults.Plan
}

var _ outbox.Queue = (*FaultyQueue)(nil)

// Faulty wraps a queue.
func Faulty(inner outbox.Queue, plan faults.Plan) *FaultyQueue { return &FaultyQueue{inner, plan} }

// Acquire implements outbox.Queue.
func (q *FaultyQueue) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	return faults.Answer(ctx, q.plan, faults.Acquire, func() ([]outbox.Lease, error) { return q.inner.Acquire(ctx, owner, lease) })
}

// Release implements outbox.Queue.
func (q *FaultyQueue) Release(ctx context.Context, owner string, leases []outbox.Lease) error {
	return faults.Act(ctx, q.plan, faults.Release, func() error { return q.inner.Release(ctx, owner, leases) })
}

// Pending implements outbox.Queue.
func (q *FaultyQueue) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	return faults.Answer(ctx, q.plan, faults.Pending, func() (outbox.Page, error) { return q.inner.Pending(ctx, a) })
}

// Settle implements outbox.Queue.
func (q *FaultyQueue) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	return faults.Answer(ctx, q.plan, faults.SettleRows, func() ([]bool, error) { return q.inner.Settle(ctx, rs) })
}
