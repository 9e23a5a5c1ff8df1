package consumer

import "context"

// Partition is a part of a topic that belongs to one process of the group at a time.
type Partition struct {
	// Topic is the topic, Of how many partitions it has, and Number which of them it is, from 0.
	// With the order Exclusive the topic is one partition of its own: Of is 1, Number 0.
	Topic      string
	Of, Number int
	// Epoch grows with each owner of the partition. What an owner writes can be fenced by it.
	Epoch uint64
}

type partitionKey struct{}

// PartitionFrom returns the partition of the event that a handler's context belongs to. ok is false
// with an order within a process.
func PartitionFrom(ctx context.Context) (p Partition, ok bool) {
	p, ok = ctx.Value(partitionKey{}).(Partition)
	return p, ok
}
