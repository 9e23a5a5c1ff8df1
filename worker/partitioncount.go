package worker

import (
	"context"
	"sync/atomic"

	"github.com/onceish/onceish/consumer"
)

// PartitionCounts are how often a process has got and given away partitions of a topic. A topic of
// order exclusive is one.
type PartitionCounts struct {
	// Assigned partitions were taken over, Revoked ones handed over in order, and Lost ones may
	// have been another process's before this one had finished.
	Assigned, Revoked, Lost uint64
}

// partitionCounter counts by the hooks of a subscription.
type partitionCounter struct{ assigned, revoked, lost atomic.Uint64 }

func (c *partitionCounter) counts() PartitionCounts {
	return PartitionCounts{Assigned: c.assigned.Load(), Revoked: c.revoked.Load(), Lost: c.lost.Load()}
}

// countBeside adds to the hooks of options.
func (c *partitionCounter) countBeside(o *consumer.Options) {
	if o.Order != consumer.Exclusive && o.Order.NumPartitions() == 0 {
		return // others have no hooks
	}
	o.Assigned = countCalls(&c.assigned, o.Assigned)
	o.Revoked = countCalls(&c.revoked, o.Revoked)
	o.Lost = countCalls(&c.lost, o.Lost)
}

type partitionHook = func(context.Context, consumer.Partition) error

func countCalls(n *atomic.Uint64, hook partitionHook) partitionHook {
	return func(ctx context.Context, p consumer.Partition) error {
		n.Add(1)
		if hook == nil {
			return nil
		}
		return hook(ctx, p)
	}
}
