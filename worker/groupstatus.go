package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/group"
)

// GroupStatus is a group as it stands.
type GroupStatus struct {
	Group string `json:"group"`
	// Members are its live processes, and what each of them does.
	Members []group.Member `json:"members"`
	// Pauses are those in force; breakers of the group that are open are among them.
	Pauses []group.Paused `json:"pauses"`
	// Plans are who owns the partitions of topics, also of those that nobody reads any more.
	Plans []group.Plan `json:"plans"`
	// Now is the time, by the clock that Members and Pauses are stamped with.
	Now time.Time `json:"now"`
}

// GroupStatus returns a group as it stands. Nothing that consumes as the group is ErrNoGroup.
func (c *Connections) GroupStatus(ctx context.Context, name string) (*GroupStatus, error) {
	store, found, err := c.findGroup(ctx, name, "")
	if err != nil {
		return nil, err
	}
	out := &GroupStatus{Group: name, Members: found.members, Pauses: []group.Paused{}, Plans: []group.Plan{}}
	pauses, err := store.List(ctx, group.PauseRows, name)
	if err != nil {
		return nil, fmt.Errorf("pauses of group %q: %w", name, err)
	}
	out.Now = pauses.Now
	in, err := group.Pauses(ctx, store, name)
	if err != nil {
		return nil, err
	}
	out.Pauses = append(out.Pauses, in...)
	plans, err := group.Plans(ctx, store, name)
	if err != nil {
		return nil, err
	}
	out.Plans = append(out.Plans, plans...)
	return out, nil
}
