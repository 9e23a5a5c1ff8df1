package admin

import (
	"context"

	"github.com/onceish/onceish/group"
)

// Limit is what bounds a subscription in a process.
type Limit struct {
	Topic       string  `json:"topic"`
	Member      string  `json:"member" doc:"id of the process"`
	Host        string  `json:"host"`
	PID         int     `json:"pid"`
	State       string  `json:"state" doc:"running, paused, limited, unavailable, unhealthy or draining"`
	Why         string  `json:"why,omitempty" doc:"what holds it back most"`
	Concurrency int     `json:"concurrency,omitempty" doc:"how many events it may run at once"`
	InFlight    int     `json:"in_flight" doc:"events that it has fetched and not answered"`
	Rate        float64 `json:"rate" doc:"events that it has started per second lately"`
}

type limitsOutput struct {
	Body LimitList
}

// LimitList is what bounds the subscriptions of a group.
type LimitList struct {
	Group  string  `json:"group"`
	Limits []Limit `json:"limits"`
}

func (a *API) listLimits(ctx context.Context, in *GroupPath) (*limitsOutput, error) {
	status, err := a.conns.GroupStatus(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	out := LimitList{Group: in.Group, Limits: []Limit{}}
	for i := range status.Members {
		m := &status.Members[i]
		for j := range m.Subscriptions {
			out.Limits = append(out.Limits, newLimit(m, &m.Subscriptions[j]))
		}
	}
	return &limitsOutput{out}, nil
}

func newLimit(m *group.Member, s *group.Subscription) Limit {
	return Limit{
		Topic: s.Topic, Member: m.ID, Host: m.Host, PID: m.PID, State: s.State, Why: s.Why, Concurrency: s.Concurrency, InFlight: s.InFlight, Rate: s.Rate,
	}
}
