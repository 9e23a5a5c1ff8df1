package export

import (
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/telemetry"
)

// stateOf is what gauges show of a worker.
func stateOf(s worker.Snapshot) telemetry.State {
	out := telemetry.State{Groups: []telemetry.GroupState{{Group: s.Group, Members: int64(s.Members)}}}
	for i := range s.Subscriptions {
		out.Subscriptions = append(out.Subscriptions, subscriptionState(s.Group, &s.Subscriptions[i]))
	}
	for i := range s.Outboxes {
		out.Outboxes = append(out.Outboxes, outboxState(&s.Outboxes[i]))
	}
	return out
}

func subscriptionState(group string, s *worker.SubscriptionSnapshot) telemetry.SubscriptionState {
	out := telemetry.SubscriptionState{
		Topic: s.Topic, Group: group, InFlight: s.Stats.InFlight, Unmarked: s.Stats.Unmarked,
		Lag: telemetry.Unknown, Behind: telemetry.Unknown, TTLMargin: &s.TTLMargin,
	}
	if s.LagKnown {
		out.Lag, out.Paused = int64(s.Lag.Pending+s.Lag.Unsettled), s.Lag.PausedFor > 0
	}
	if s.Partitions != nil {
		n := &s.PartitionCounts
		out.Partitions = &telemetry.PartitionState{
			Of: s.PartitionsOf, Owned: len(s.Partitions), Assigned: n.Assigned, Revoked: n.Revoked, Lost: n.Lost,
		}
	}
	if s.BehindKnown {
		out.Behind = s.Behind
	}
	return out
}

func outboxState(b *worker.OutboxSnapshot) telemetry.OutboxState {
	out := telemetry.OutboxState{Name: b.ShortName, Depth: telemetry.Unknown, Dead: telemetry.Unknown, Scheduled: telemetry.Unknown, Oldest: telemetry.Unknown}
	if b.BacklogKnown {
		out.Depth, out.Dead, out.Scheduled, out.Oldest = int64(b.Backlog.Pending), int64(b.Backlog.Dead), int64(b.Backlog.Scheduled), b.Backlog.Oldest
	}
	return out
}
