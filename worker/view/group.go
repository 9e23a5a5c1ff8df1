package view

import (
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// Group is a group on a topic.
type Group struct {
	Group     string   `json:"group" doc:"name of the group"`
	Topic     string   `json:"topic" doc:"topic or pattern that it is subscribed to"`
	Stream    string   `json:"stream"`
	Consumer  string   `json:"consumer" doc:"name of its durable consumer on the stream"`
	Pending   uint64   `json:"pending" doc:"events that were never delivered"`
	Unsettled uint64   `json:"unsettled" doc:"events that were delivered and are not acked"`
	Pulls     int      `json:"pulls" doc:"requests for events that wait at the server"`
	Idle      *float64 `json:"idle_seconds,omitempty" doc:"how long ago an event was delivered or acked; absent: not known"`
}

// NewGroup returns the view of a group.
func NewGroup(g *natsbus.Group) Group {
	out := Group{g.Name, g.Topic, g.Stream, g.Consumer, g.Pending, g.Unsettled, g.Pulls, nil}
	if g.Idle > 0 {
		seconds := g.Idle.Seconds()
		out.Idle = &seconds
	}
	return out
}

// NewGroups returns the views of groups; never nil.
func NewGroups(groups []natsbus.Group) []Group {
	out := make([]Group, len(groups))
	for i := range groups {
		out[i] = NewGroup(&groups[i])
	}
	return out
}
