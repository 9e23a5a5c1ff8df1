package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/view"
)

// GroupPath names a group.
type GroupPath struct {
	Group string `path:"group" minLength:"1" maxLength:"256" doc:"name of the group" example:"billing"`
}

// Member is a process of a group.
type Member struct {
	ID            string               `json:"id" doc:"random, one for each start of a process"`
	Name          string               `json:"name,omitempty" doc:"stable across starts, if it was given one"`
	Host          string               `json:"host"`
	PID           int                  `json:"pid"`
	Version       string               `json:"version,omitempty"`
	Started       time.Time            `json:"started,omitzero"`
	State         string               `json:"state" doc:"joining, running, draining or unreadable"`
	Renewed       time.Time            `json:"renewed" doc:"when it was last heard of"`
	Revision      uint64               `json:"revision,string" doc:"up to which it has applied pauses"`
	InFlight      int                  `json:"in_flight" doc:"events that it has fetched and not answered"`
	Subscriptions []group.Subscription `json:"subscriptions"`
	Omitted       int                  `json:"omitted,omitempty" doc:"how many more subscriptions it has"`
}

func newMember(m *group.Member) Member {
	out := Member{
		ID: m.ID, Name: m.Name, Host: m.Host, PID: m.PID, Version: m.Version, Started: m.Started, State: m.State, Renewed: m.Renewed,
		Revision: m.Applied.Revision, Subscriptions: append([]group.Subscription{}, m.Subscriptions...), Omitted: m.Omitted,
	}
	for i := range m.Subscriptions {
		out.InFlight += m.Subscriptions[i].InFlight
	}
	return out
}

func newMembers(members []group.Member) []Member {
	out := make([]Member, len(members))
	for i := range members {
		out[i] = newMember(&members[i])
	}
	return out
}

type groupsOutput struct {
	Body GroupList
}

// GroupList are groups, one for each of their topics.
type GroupList struct {
	Groups []view.Group `json:"groups"`
}

type statusOutput struct {
	Body GroupStatus
}

// GroupStatus is a group as it stands.
type GroupStatus struct {
	Group   string       `json:"group"`
	Topics  []view.Group `json:"topics" doc:"where it stands on each of its topics"`
	Members []Member     `json:"members" doc:"its live processes, and what holds each subscription back"`
	Pauses  []Pause      `json:"pauses" doc:"the pauses in force; breakers of the group that are open are among them"`
	Now     time.Time    `json:"now" doc:"by the clock that members and pauses are stamped with"`
}

type membersOutput struct {
	Body MemberList
}

// MemberList are the live processes of a group.
type MemberList struct {
	Group   string   `json:"group"`
	Members []Member `json:"members"`
}

type lagInput struct {
	GroupPath

	Topic string `query:"topic" doc:"a topic of the group; empty: all of them"`
}

type lagOutput struct {
	Body GroupLag
}

// GroupLag is how far a group is behind.
type GroupLag struct {
	Group         string         `json:"group"`
	Subscriptions []*explain.Lag `json:"subscriptions"`
}

func (a *API) registerGroups() {
	register(a, reading("list-groups", "/v1/groups", tagGroups, "List groups",
		"The groups on the bus, with how far each is behind on each of its topics.", http.StatusNotImplemented), a.listGroups)
	register(a, reading("show-group", "/v1/groups/{group}", tagGroups, "Show a group",
		"What the processes of a group do, and what holds them back.", http.StatusNotFound), a.showGroup)
	register(a, reading("list-members", "/v1/groups/{group}/members", tagGroups, "List the processes of a group",
		"A process that has drained is gone at once, one that died within 30 seconds.", http.StatusNotFound), a.listMembers)
	register(a, reading("show-lag", "/v1/groups/{group}/lag", tagGroups, "Show how far a group is behind",
		"And what its oldest event waits for. It looks at the first 10,000 events that are not acked.", http.StatusNotFound), a.showLag)
}

func (a *API) listGroups(ctx context.Context, _ *struct{}) (*groupsOutput, error) {
	groups, err := a.conns.Groups(ctx)
	if err != nil {
		return nil, err
	}
	return &groupsOutput{GroupList{view.NewGroups(groups)}}, nil
}

func (a *API) showGroup(ctx context.Context, in *GroupPath) (*statusOutput, error) {
	status, err := a.conns.GroupStatus(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	topics, err := a.topicsOf(ctx, in.Group)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	return &statusOutput{GroupStatus{
		Group: in.Group, Topics: view.NewGroups(topics), Members: newMembers(status.Members), Pauses: newPauses(status.Pauses), Now: status.Now,
	}}, nil
}

// topicsOf is where a group stands on each of its topics.
func (a *API) topicsOf(ctx context.Context, name string) ([]natsbus.Group, error) {
	groups, err := a.conns.Groups(ctx)
	return slices.DeleteFunc(groups, func(g natsbus.Group) bool { return g.Name != name }), err
}

func (a *API) listMembers(ctx context.Context, in *GroupPath) (*membersOutput, error) {
	status, err := a.conns.GroupStatus(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	return &membersOutput{MemberList{in.Group, newMembers(status.Members)}}, nil
}

func (a *API) showLag(ctx context.Context, in *lagInput) (*lagOutput, error) {
	if in.Topic != "" {
		if err := checkPattern(in.Topic); err != nil {
			return nil, err
		}
	}
	sources, err := a.explainGroup(ctx, in.Group, &worker.ExplainOptions{})
	if err != nil {
		return nil, err
	}
	lags, err := sources.Lags(ctx, in.Topic)
	switch {
	case err != nil:
		return nil, err
	case len(sources.Group.Cursors) == 0:
		return nil, fmt.Errorf("%w: nothing consumes as group %q", worker.ErrNoGroup, in.Group)
	case len(lags) == 0:
		return nil, fmt.Errorf("%w: group %q is not subscribed to %q", worker.ErrNoGroup, in.Group, in.Topic)
	}
	return &lagOutput{GroupLag{in.Group, lags}}, nil
}
