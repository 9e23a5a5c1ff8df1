package faulty

import (
	"context"
	"time"

	"github.com/onceish/onceish/outbox"
)

// The calls of an outbox that a Plan is asked about.
const (
	Acquire    Call = "acquire"
	Release    Call = "release"
	Pending    Call = "pending"
	SettleRows Call = "settle rows"
)

// Queue is an outbox whose calls go as planned. It tells of no new rows: it is no outbox.Watcher.
type Queue struct {
	inner outbox.Queue
	plan  Plan
}

var _ outbox.Queue = (*Queue)(nil)

// NewQueue wraps a queue.
func NewQueue(inner outbox.Queue, plan Plan) *Queue { return &Queue{inner, plan} }

// Acquire implements outbox.Queue.
func (q *Queue) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	return callPlanned(ctx, q.plan, Acquire, func() ([]outbox.Lease, error) { return q.inner.Acquire(ctx, owner, lease) })
}

// Release implements outbox.Queue.
func (q *Queue) Release(ctx context.Context, owner string, leases []outbox.Lease) error {
	return actPlanned(ctx, q.plan, Release, func() error { return q.inner.Release(ctx, owner, leases) })
}

// Pending implements outbox.Queue.
func (q *Queue) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	return callPlanned(ctx, q.plan, Pending, func() (outbox.Page, error) { return q.inner.Pending(ctx, a) })
}

// Settle implements outbox.Queue.
func (q *Queue) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	return callPlanned(ctx, q.plan, SettleRows, func() ([]bool, error) { return q.inner.Settle(ctx, rs) })
}
