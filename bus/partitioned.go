package bus

import (
	"cmp"
	"context"
	"fmt"
)

// Partitioned returns a Publisher that publishes each event to one of n partitions of its topic, by
// its key: events of one key go to one partition. Events without a key go by their id. An event
// whose topic is a partition already, of this or another layout, is published as one of the logical
// topic. It has no other ability of the Publisher under it.
//
// A group that consumes the topic in n partitions reads nothing else of it: what a Publisher
// without this, or with another n, publishes to the topic is stored, and read by nobody of such a
// group. With n outside of 1 to MaxPartitions nothing is published: Publish returns an error for
// each event.
func Partitioned(p Publisher, n int) Publisher { return &partitioned{p, n} }

type partitioned struct {
	publisher Publisher
	n         int
}

// Publish implements Publisher.
func (p *partitioned) Publish(ctx context.Context, events ...Event) ([]Receipt, error) {
	if err := ValidPartitions(p.n); err != nil {
		return p.refuseAll(events, err)
	}
	mapped := make([]Event, len(events))
	for i := range events {
		mapped[i] = ToPartition(events[i], p.n)
	}
	return p.publisher.Publish(ctx, mapped...)
}

func (p *partitioned) refuseAll(events []Event, reason error) ([]Receipt, error) {
	err := fmt.Errorf("publish events to partitions: %w", reason)
	receipts := make([]Receipt, len(events))
	for i := range receipts {
		receipts[i].Err = err
	}
	return receipts, err
}

// ToPartition returns the event as Partitioned publishes it in n partitions: it is for those who
// need more of a Bus than a Publisher. Of an event that cannot be published, and for another number
// of partitions than 1 to MaxPartitions, it returns the event as it is.
func ToPartition(e Event, n int) Event {
	if ValidPartitions(n) != nil || ValidTopic(e.Topic) != nil {
		return e
	}
	if e.Key == "" {
		e.Key, _ = PartitionKey(e.Topic)
	}
	topic := LogicalTopic(e.Topic)
	e.Topic = Partition{Topic: topic, Of: n, Number: PartitionOf(cmp.Or(e.Key, e.ID), n)}.Name()
	return e
}
