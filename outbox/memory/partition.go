package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onceish/onceish/outbox"
)

// Acquire implements outbox.Queue.
func (q *Queue) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	if owner == "" || lease <= 0 {
		return nil, fmt.Errorf("memory outbox: acquire for owner %q, lease %v: name an owner, and a lease above 0", owner, lease)
	}
	now, end, err := q.beginCall(ctx, "acquire")
	if err != nil {
		return nil, err
	}
	defer end()
	q.owners[owner] = now.Add(lease)
	maps.DeleteFunc(q.owners, func(_ string, until time.Time) bool { return !until.After(now) })
	others := slices.DeleteFunc(slices.Collect(maps.Keys(q.owners)), func(name string) bool { return name == owner })
	var leases []outbox.Lease
	for _, g := range outbox.Assign(owner, others, q.partitions, now) {
		leases = append(leases, q.grantLease(owner, g, now, lease))
	}
	return leases, nil
}

// grantLease gives a partition to an owner, or renews it, unless it is ending.
func (q *Queue) grantLease(owner string, g outbox.Grant, now time.Time, lease time.Duration) outbox.Lease {
	p := &q.partitions[g.Partition]
	if g.Taken {
		p.Owner = owner
		p.Token++
	}
	if !g.Ending {
		p.Until = now.Add(lease)
	}
	first, last := outbox.Partition(g.Partition, len(q.partitions))
	return outbox.Lease{
		Partition: g.Partition, First: first, Last: last, Token: p.Token, Until: p.Until, Left: p.Until.Sub(now), Ending: g.Ending,
	}
}

// Release implements outbox.Queue.
func (q *Queue) Release(ctx context.Context, owner string, leases []outbox.Lease) error {
	_, end, err := q.beginCall(ctx, "release")
	if err != nil {
		return err
	}
	defer end()
	for _, l := range leases {
		if l.Partition < 0 || l.Partition >= len(q.partitions) {
			continue
		}
		if p := &q.partitions[l.Partition]; p.Under(owner, l) {
			p.Owner, p.Until = "", time.Time{}
		}
	}
	if !slices.ContainsFunc(q.partitions, func(h outbox.Holding) bool { return h.Owner == owner }) {
		delete(q.owners, owner)
	}
	return nil
}
