package telemetry

import (
	"time"

	"github.com/onceish/onceish/consumer"
)

// Unknown is the value of a count that is not known: it is left out.
const Unknown = -1

// State is what gauges show beside what observers have seen.
type State struct {
	Subscriptions []SubscriptionState
	Outboxes      []OutboxState
	Groups        []GroupState
}

// SubscriptionState is a subscription as it stands. Topic and Group are its labels.
type SubscriptionState struct {
	Topic, Group string
	// InFlight events were fetched and are not answered, Unmarked ones have succeeded and are not
	// marked.
	InFlight, Unmarked uint64
	// Lag is how many events the group has not handled, or Unknown.
	Lag int64
	// Behind is how old the oldest of them is. Negative: it is not known.
	Behind time.Duration
	// Paused is set while the bus itself delivers nothing to the group, because somebody has paused
	// its consumer there. Other pauses are known to observers.
	Paused bool
	// Partitions are those of the topic. Nil: its order is one within a process.
	Partitions *PartitionState
	// TTLMargin is by how much marks are kept for longer than an event may be redelivered:
	// consumer.Options.TTL without its Horizon. Nil: it is not known.
	TTLMargin *time.Duration
}

// PartitionState is what a process has of the partitions of a topic.
type PartitionState struct {
	// Of is how many there are, and Owned how many of them are this process's.
	Of, Owned int
	// Assigned, Revoked and Lost count those that it was given, that it handed over, and that it
	// could not keep, since it started.
	Assigned, Revoked, Lost uint64
}

// OutboxState is an outbox as it was known last. Name is its label.
type OutboxState struct {
	Name string
	// Depth is how many rows wait, Dead how many were given up, and Scheduled how many are due
	// later, or Unknown.
	Depth, Dead, Scheduled int64
	// Oldest is the age of the oldest row that waits. Negative: it is not known.
	Oldest time.Duration
}

// GroupState is a group as it was seen last.
type GroupState struct {
	Group string
	// Members is how many live processes it has, or Unknown.
	Members int64
}

// source is what Follow was given.
type source struct{ read func() State }

// Follow shows in gauges what read returns. It is called for each collection, by several goroutines
// at once, and must not block: what it returns comes from memory. The function that Follow returns
// ends that, and may be called again.
func (m *Metrics) Follow(read func() State) (stop func()) {
	s := &source{read}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources[s] = struct{}{}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.sources, s)
	}
}

// StateOf returns what Follow takes for a subscription without a worker. The lag is not known, for
// the bus would have to be asked.
func StateOf(topic, group string, s *consumer.Subscription) func() State {
	return func() State {
		stats := s.Stats()
		return State{Subscriptions: []SubscriptionState{{
			Topic: topic, Group: group, InFlight: stats.InFlight, Unmarked: stats.Unmarked, Lag: Unknown, Behind: Unknown,
		}}}
	}
}
