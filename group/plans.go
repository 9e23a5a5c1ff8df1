package group

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Plan is who owns which partition of a topic. Times are those of the store's clock.
type Plan struct {
	Topic string `json:"topic"`
	// Of is how many partitions there are.
	Of int `json:"of"`
	// Epoch grows with each change of the plan.
	Epoch uint64 `json:"epoch"`
	// Members are the ids of the members that take part, in the order in which they joined.
	Members    []string         `json:"members"`
	Partitions []PartitionOwner `json:"partitions"`
	// Unreadable is why the plan cannot be read. Nothing moves then; those who own something lose
	// it. Empty: it can.
	Unreadable string `json:"unreadable,omitempty"`
}

// PartitionOwner is who owns a partition.
type PartitionOwner struct {
	Number int `json:"number"`
	// Owner is the id of the member that owns the partition, which may be gone since; Name is its
	// name. Empty: nobody owns it.
	Owner string `json:"owner,omitempty"`
	Name  string `json:"name,omitempty"`
	// Next is the id of the member to which the partition moves. Empty: it does not.
	Next string `json:"next,omitempty"`
	// Epoch is that of its last owner: see Ownership.Epoch.
	Epoch uint64 `json:"epoch,omitempty"`
	// Since is when it was taken, freed or planned to move.
	Since time.Time `json:"since,omitzero"`
	// NotBefore is until when it is not planned, after its Run has ended by itself.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Plans returns the plans of a group, by topic. It blocks for one reading of the store.
func Plans(ctx context.Context, store Store, group string) ([]Plan, error) {
	if err := validateGroup(group); err != nil {
		return nil, err
	}
	listing, err := store.List(ctx, PlanRows, group)
	if err != nil {
		return nil, fmt.Errorf("plans of group %q: %w", group, err)
	}
	plans := make([]Plan, 0, len(listing.Rows))
	for _, row := range listing.Rows {
		plans = append(plans, describePlan(&row))
	}
	slices.SortFunc(plans, func(a, b Plan) int { return cmp.Compare(a.Topic, b.Topic) })
	return plans, nil
}

func describePlan(row *Row) Plan {
	r, err := parsePlanRow(row)
	if err != nil {
		return Plan{Topic: row.Key, Unreadable: err.Error()}
	}
	p := Plan{Topic: row.Key, Of: r.Partitions, Epoch: r.Epoch, Members: []string{}}
	for _, m := range r.Members {
		p.Members = append(p.Members, m.ID)
	}
	for i := range r.Slots {
		s := &r.Slots[i]
		o := PartitionOwner{Number: i, Next: s.Next, Epoch: s.Epoch, Since: s.Since, NotBefore: s.NotBefore}
		if !s.isFree() {
			o.Owner = s.Owner
			if m := r.member(s.Owner); m != nil {
				o.Name = m.Name
			}
		}
		p.Partitions = append(p.Partitions, o)
	}
	return p
}
