package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker/view"
)

// Overview is all groups at a glance, with the outbox and the operations.
type Overview struct {
	At         time.Time       `json:"at" doc:"when it was made, by the clock of this process"`
	GroupsAt   time.Time       `json:"groups_at,omitzero" doc:"when the groups were read; earlier than at: they could not be read since"`
	Now        time.Time       `json:"now,omitzero" doc:"the same by the clock that members and pauses are stamped with"`
	Groups     []GroupOverview `json:"groups"`
	Outbox     *OutboxOverview `json:"outbox,omitempty" doc:"absent: there is none"`
	Operations []Operation     `json:"operations" doc:"the newest twenty of /v1/operations"`
	Missing    []string        `json:"missing" doc:"what could not be read, and why"`
	History    []GroupHistory  `json:"history,omitempty" doc:"earlier overviews, if they were asked for"`
}

// GroupOverview is a group with its topics and processes.
type GroupOverview struct {
	Group     string          `json:"group"`
	Rate      float64         `json:"rate" doc:"events that its processes have started per second lately"`
	InFlight  int             `json:"in_flight" doc:"events that its processes have fetched and not answered"`
	Pending   uint64          `json:"pending" doc:"events that were never delivered"`
	Unsettled uint64          `json:"unsettled" doc:"events that were delivered and are not acked"`
	Letters   uint64          `json:"letters" doc:"events on its dead-letter topic; a large letter has several"`
	Topics    []TopicOverview `json:"topics"`
	Members   []Member        `json:"members" doc:"its live processes"`
	Omitted   int             `json:"omitted,omitempty" doc:"how many more processes it has than are listed"`
	Pauses    []Pause         `json:"pauses" doc:"the pauses in force"`
}

// OutboxOverview is what an outbox had left to do when its rows were counted last.
type OutboxOverview struct {
	Outbox               string    `json:"outbox" doc:"where it is"`
	Pending              int       `json:"pending"`
	Dead                 int       `json:"dead"`
	Scheduled            int       `json:"scheduled" doc:"rows that are due later: they are no backlog"`
	OldestPendingSeconds float64   `json:"oldest_pending_seconds" doc:"how long ago the oldest pending row that was counted was added, or became due if it was scheduled; 0: none is pending"`
	Most                 int       `json:"most" doc:"how many rows of a kind are counted at most: where there are so many, there may be more"`
	At                   time.Time `json:"at" doc:"when they were counted, by the clock of this process"`
}

type overviewInput struct {
	History bool `query:"history" doc:"1: with what was seen of each group in the last 15 minutes, while somebody looked"`
}

type overviewOutput struct {
	Body Overview
}

const (
	// maxMembers bounds how many processes of a group an overview lists.
	maxMembers = 500
	// maxOperations bounds how many operations it lists: more than run at once.
	maxOperations = 20
	// readAtOnce is of how many groups the members are read at the same time.
	readAtOnce = 4
	// overviewTimeout bounds how long an overview may take.
	overviewTimeout = 15 * time.Second
)

func (a *API) registerOverview() {
	register(a, reading("show-overview", "/v1/overview", tagGroups, "Show all groups at a glance",
		"What the dashboard shows. It is made at most every two seconds, and less often where that takes long, for all who ask: it may be a little older than the request.",
		http.StatusNotImplemented), a.showOverview)
	a.registerOverviewStream()
}

func (a *API) showOverview(ctx context.Context, in *overviewInput) (*overviewOutput, error) {
	o, err := a.overviews.fresh(ctx)
	if err != nil {
		return nil, err
	}
	out := *o
	if in.History {
		out.History = a.overviews.history()
	}
	return &overviewOutput{out}, nil
}

// makeOverview reads all that an overview has, from NATS and from MongoDB at once: neither waits
// for the other. What cannot be read it has from the one before.
func (a *API) makeOverview(ctx context.Context, before *Overview) *Overview {
	out := &Overview{At: time.Now().UTC(), Groups: []GroupOverview{}, Operations: a.newestOperations(), Missing: []string{}}
	var counting sync.WaitGroup
	var uncounted error
	counting.Go(func() { out.Outbox, uncounted = a.outboxCounts.read(ctx, a) })
	groups, now, err := a.readGroups(ctx)
	switch {
	case err == nil:
		out.Groups, out.GroupsAt, out.Now = groups, out.At, now
	case before != nil:
		out.Groups, out.GroupsAt, out.Now = before.Groups, before.GroupsAt, before.Now
	}
	if err != nil {
		out.Missing = append(out.Missing, "the groups: "+err.Error())
	}
	counting.Wait()
	if uncounted != nil {
		out.Missing = append(out.Missing, "the outbox: "+uncounted.Error())
	}
	return out
}

// newestOperations are the operations that an overview has.
func (a *API) newestOperations() []Operation {
	all := a.operations.list()
	return all[:min(len(all), maxOperations)]
}

// readGroups reads all groups that have a consumer, and that of this process.
func (a *API) readGroups(ctx context.Context) (all []GroupOverview, now time.Time, err error) {
	consumers, err := a.conns.Groups(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, now, err
	}
	store, err := a.conns.GroupStore(ctx)
	if err != nil {
		return nil, now, err
	}
	names := []string{}
	for i := range consumers {
		names = append(names, consumers[i].Name)
	}
	if a.o.Group != "" {
		names = append(names, a.o.Group)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	all = make([]GroupOverview, len(names))
	errs := make([]error, len(names))
	var reading sync.WaitGroup
	slots := make(chan struct{}, readAtOnce)
	for i, name := range names {
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			errs[i] = a.readGroup(ctx, store, name, consumers, &all[i])
		})
	}
	reading.Wait()
	if len(consumers) > 0 {
		now = consumers[0].Now
	}
	return all, cmp.Or(now.UTC(), time.Now().UTC()), errors.Join(errs...)
}

func (a *API) readGroup(ctx context.Context, store group.Store, name string, consumers []natsbus.Group, out *GroupOverview) error {
	members, err := group.Members(ctx, store, name)
	if err != nil {
		return err
	}
	pauses, err := group.Pauses(ctx, store, name)
	if err != nil {
		return err
	}
	letters, err := a.countLetterEvents(ctx, "dead."+name)
	if err != nil {
		return err
	}
	topics := slices.DeleteFunc(slices.Clone(consumers), func(g natsbus.Group) bool { return g.Name != name })
	*out = GroupOverview{
		Group: name, Letters: letters, Topics: summarizeTopics(view.NewGroups(topics), members),
		Members: newMembers(members[:min(len(members), maxMembers)]), Omitted: max(0, len(members)-maxMembers), Pauses: newPauses(pauses),
	}
	for _, t := range out.Topics {
		out.Rate, out.InFlight = out.Rate+t.Rate, out.InFlight+t.InFlight
		out.Pending, out.Unsettled = out.Pending+t.Pending, out.Unsettled+t.Unsettled
	}
	return nil
}

// countLetterEvents asks the server how many events a dead-letter topic has, which takes no reading
// of them.
func (a *API) countLetterEvents(ctx context.Context, topic string) (uint64, error) {
	b, ok := a.conns.Bus().(*natsbus.Bus)
	if !ok {
		return 0, nil
	}
	n, _, err := b.Retained(ctx, topic)
	if errors.Is(err, bus.ErrNoStream) {
		return 0, nil // nothing was ever given up
	}
	if err != nil {
		return 0, fmt.Errorf("count the events of %q: %w", topic, err)
	}
	return n, nil
}
