package admin

import (
	"cmp"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/view"
)

// TopicOverview is a group on one of its topics, in all of its processes together.
type TopicOverview struct {
	view.Group

	State       string  `json:"state" doc:"that of most concern among its processes: unhealthy, unavailable, paused, limited, draining, running, standby, or stopped where there are none"`
	Why         string  `json:"why,omitempty" doc:"the reason that one of the processes in this state gives"`
	Affected    int     `json:"affected" doc:"how many processes are in this state"`
	Members     int     `json:"members" doc:"how many processes are subscribed to it"`
	InFlight    int     `json:"in_flight"`
	Concurrency int     `json:"concurrency" doc:"how many events they may run at once, all together"`
	Rate        float64 `json:"rate" doc:"events that they have started per second lately"`
}

// concern orders states: the first is of most concern.
var concern = []string{worker.StateUnhealthy, "unavailable", "paused", "limited", "draining", "running", "standby"}

const (
	// stateStopped is the state of a topic that no process of the group is subscribed to.
	stateStopped = "stopped"
	noProcess    = "no process of the group is subscribed to it: start one"
)

// summarizeTopics returns the topics of a group's consumers, and those that its members report
// besides, such as that of an outbox.
func summarizeTopics(consumers []view.Group, members []group.Member) []TopicOverview {
	out := []TopicOverview{}
	for _, c := range consumers {
		c.Topic = bus.LogicalTopic(c.Topic)
		if at := slices.IndexFunc(out, func(t TopicOverview) bool { return t.Topic == c.Topic }); at >= 0 { // another partition of it
			out[at].Pending, out[at].Unsettled, out[at].Pulls = out[at].Pending+c.Pending, out[at].Unsettled+c.Unsettled, out[at].Pulls+c.Pulls
			continue
		}
		out = append(out, TopicOverview{Group: c, State: stateStopped, Why: noProcess})
	}
	for i := range members {
		for j := range members[i].Subscriptions {
			s := &members[i].Subscriptions[j]
			at := slices.IndexFunc(out, func(t TopicOverview) bool { return t.Topic == s.Topic })
			if at < 0 {
				at, out = len(out), append(out, TopicOverview{Group: view.Group{Topic: s.Topic}, State: stateStopped})
			}
			out[at].add(s)
		}
	}
	slices.SortStableFunc(out, func(a, b TopicOverview) int { return cmp.Compare(a.Topic, b.Topic) })
	return out
}

// add counts what a process reports of the topic.
func (t *TopicOverview) add(s *group.Subscription) {
	t.Members, t.InFlight, t.Concurrency, t.Rate = t.Members+1, t.InFlight+s.InFlight, t.Concurrency+s.Concurrency, t.Rate+s.Rate
	switch {
	case t.State == s.State:
		t.Affected++
	case t.State == stateStopped || concernOf(s.State) < concernOf(t.State):
		t.State, t.Why, t.Affected = s.State, s.Why, 1
	}
}

// concernOf is the rank of a state. One that is not known is of most concern.
func concernOf(state string) int { return slices.Index(concern, state) }
