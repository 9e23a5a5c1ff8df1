package admin

import (
	"context"
	"net/http"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/view"
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

type sharedLimitsInput struct {
	GroupPath

	Topic string `query:"topic" doc:"a topic of the group, as it is subscribed to; empty: all of them"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"100" doc:"how many keys at most, over all topics"`
	After string `query:"after" maxLength:"4096" doc:"position after which the page begins: next of the page before"`
}

type sharedLimitsOutput struct {
	Body SharedLimitPage
}

// SharedLimitPage is a page of the limits that the processes of a group share.
type SharedLimitPage struct {
	Group  string             `json:"group"`
	Limits []view.SharedLimit `json:"limits" doc:"by topic and key"`
	Next   string             `json:"next,omitempty" doc:"position for after; absent: there are no more keys"`
}

func (a *API) registerLimits() {
	register(a, reading("list-limits", "/v1/groups/{group}/limits", tagGroups, "List what bounds the subscriptions of a group",
		"For each subscription of each process: how many events it may run at once, how many it runs, how many it has started lately, and what holds it "+
			"back most: a pause, a rate limit, a breaker, an adaptive limit.", http.StatusNotFound), a.listLimits)
	register(a, reading("list-shared-limits", "/v1/groups/{group}/limits/shared", tagGroups, "List what is used of the rates that a group shares",
		"For each topic with a rate that is shared, and each key of it that has a limit of its own, as the store of limits counts them: the rate, what is used and what remains, "+
			"when it is free again, and how many processes share it. A limit for which nothing has started lately is not listed. A page may have fewer keys than asked for, or "+
			"none, and still a next one; pages neither skip nor repeat a key that stays.", http.StatusNotFound), a.listSharedLimits)
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

func (a *API) listSharedLimits(ctx context.Context, in *sharedLimitsInput) (*sharedLimitsOutput, error) {
	page, err := a.conns.SharedLimits(ctx, in.Group, worker.SharedLimitQuery{Topic: in.Topic, After: in.After, Most: in.Limit})
	if err != nil {
		return nil, err
	}
	return &sharedLimitsOutput{SharedLimitPage{in.Group, view.NewSharedLimits(page.Limits), page.Next}}, nil
}
