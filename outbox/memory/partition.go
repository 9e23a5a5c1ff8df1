package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onceish/onceish/outbox"
)

// partition is who has it, and until when.
type partition struct {
	owner string // who had it last, while nobody else has taken it; "" after a release
	token uint64
	until time.Time
}

// Acquire implements outbox.Queue.
func (q *Queue) Acquire(ctx context.Context, owner string, lease time.Duration) ([]outbox.Lease, error) {
	if owner == "" || lease <= 0 {
		return nil, fmt.Errorf("memory outbox: acquire for owner %q, lease %v: name an owner, and a lease above 0", owner, lease)
	}
	now, end, err := q.begin(ctx, "acquire")
	if err != nil {
		return nil, err
	}
	defer end()
	q.owners[owner] = now.Add(lease)
	maps.DeleteFunc(q.owners, func(_ string, until time.Time) bool { return !until.After(now) })
	share := q.share(owner)
	var leases []outbox.Lease
	for i := range q.partitions { // what it has, up to its share, and the surplus
		if p := &q.partitions[i]; p.owner == owner && (share > 0 || p.until.After(now)) {
			leases = append(leases, q.grant(i, now, lease, share <= 0))
			share--
		}
	}
	for i := 0; i < len(q.partitions) && share > 0; i++ {
		if p := &q.partitions[i]; p.owner != owner && !p.until.After(now) {
			p.owner = owner
			p.token++
			leases = append(leases, q.grant(i, now, lease, false))
			share--
		}
	}
	return leases, nil
}

// share is how many partitions an owner is to have.
func (q *Queue) share(owner string) int {
	owners := slices.Sorted(maps.Keys(q.owners))
	n := len(q.partitions) / len(owners)
	if slices.Index(owners, owner) < len(q.partitions)%len(owners) {
		n++
	}
	return n
}

// grant renews a partition of its owner, unless it is to end.
func (q *Queue) grant(i int, now time.Time, lease time.Duration, ending bool) outbox.Lease {
	p := &q.partitions[i]
	if !ending {
		p.until = now.Add(lease)
	}
	first, last := outbox.Partition(i, len(q.partitions))
	return outbox.Lease{
		Partition: i, First: first, Last: last, Token: p.token, Until: p.until, Left: p.until.Sub(now), Ending: ending,
	}
}

// Release implements outbox.Queue.
func (q *Queue) Release(ctx context.Context, owner string, leases []outbox.Lease) error {
	_, end, err := q.begin(ctx, "release")
	if err != nil {
		return err
	}
	defer end()
	for _, l := range leases {
		if l.Partition < 0 || l.Partition >= len(q.partitions) {
			continue
		}
		if p := &q.partitions[l.Partition]; p.owner == owner && p.token == l.Token && p.until.Equal(l.Until) {
			p.owner, p.until = "", time.Time{}
		}
	}
	if !slices.ContainsFunc(q.partitions, func(p partition) bool { return p.owner == owner }) {
		delete(q.owners, owner)
	}
	return nil
}
