package bus

import "context"

// Layout is in how many partitions topics are published, by topic: 1 to MaxPartitions. A topic that
// is not in it has none.
type Layout map[string]int

// Place returns the event as it is published in the layout: to the partition of its key, as
// Partitioned does, or where its topic has none to the topic itself. An event that was read from a
// partition is placed by its logical topic.
func (l Layout) Place(e Event) Event {
	topic := LogicalTopic(e.Topic)
	if n := l[topic]; n > 0 {
		return ToPartition(e, n)
	}
	if e.Key == "" {
		e.Key, _ = PartitionKey(e.Topic)
	}
	e.Topic = topic
	return e
}

// Publisher returns a Publisher that publishes each event where Place says, by another one. It has
// no other ability of the Publisher under it. Where a number is outside of 1 to MaxPartitions
// nothing is published: Publish returns an error for each event.
func (l Layout) Publisher(p Publisher) Publisher {
	if len(l) == 0 {
		return p
	}
	return layoutPublisher{&partitioned{publisher: p}, l}
}

// layoutPublisher refuses as a partitioned Publisher does.
type layoutPublisher struct {
	*partitioned
	layout Layout
}

// Publish implements Publisher.
func (p layoutPublisher) Publish(ctx context.Context, events ...Event) ([]Receipt, error) {
	placed := make([]Event, len(events))
	for i := range events {
		if n, ok := p.layout[LogicalTopic(events[i].Topic)]; ok {
			if err := ValidPartitions(n); err != nil {
				return p.refuseAll(events, err)
			}
		}
		placed[i] = p.layout.Place(events[i])
	}
	return p.publisher.Publish(ctx, placed...)
}
