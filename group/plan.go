package group

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// MaxPartitions bounds the partitions of a topic.
const MaxPartitions = 1024

// planVersion is the version of rows that this package writes and reads.
const planVersion = 1

// planRow is the plan of a topic: who owns which partition, and who is to own it next. It is
// changed by compare-and-swap alone. Times are those of the store's clock.
type planRow struct {
	Version    int `json:"v"`
	Partitions int `json:"partitions"`
	// Epoch grows with each change of the row.
	Epoch uint64 `json:"epoch"`
	// Hold is until when slots without a known owner are not given out: the store was deleted with
	// an earlier plan, and owners write themselves in again.
	Hold    time.Time    `json:"hold_until,omitzero"`
	Members []planMember `json:"members"`
	Slots   []slot       `json:"slots"`
}

// planMember is a member that takes part in a plan.
type planMember struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	Joined   time.Time `json:"joined"`
	Draining bool      `json:"draining,omitempty"`
	// Left is when the member was first seen to be gone, or to be drained.
	Left time.Time `json:"left,omitzero"`
}

// slot is a partition in a plan. It is owned by Owner unless that has freed it.
type slot struct {
	Owner string `json:"owner,omitempty"`
	Freed bool   `json:"freed,omitempty"`
	// Next is who takes the partition when it is free.
	Next  string `json:"next,omitempty"`
	Epoch uint64 `json:"epoch,omitempty"`
	// Since is when Owner took it, or freed it, or when the partition was planned for Next.
	Since time.Time `json:"since,omitzero"`
	// Failures counts the runs in a row that ended by themselves; none is planned before NotBefore.
	Failures  int       `json:"failures,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
}

func (s *slot) isFree() bool { return s.Owner == "" || s.Freed }

// isUnknown reports whether the slot was never owned in this row.
func (s *slot) isUnknown() bool { return s.Owner == "" && s.Epoch == 0 }

func (s *slot) isOwnedBy(id string) bool { return s.Owner == id && !s.Freed }

// take makes a member the owner. Epochs grow also after the store was deleted, for they follow its
// clock.
func (s *slot) take(id string, now time.Time) {
	*s = slot{Owner: id, Epoch: max(s.Epoch+1, uint64(max(now.Unix(), 1))), Since: now, Failures: s.Failures}
}

func (s *slot) free(now time.Time) {
	s.Freed, s.Since = true, now
}

func newPlanRow(partitions int) *planRow {
	return &planRow{Version: planVersion, Partitions: partitions, Slots: make([]slot, partitions)}
}

// relaid returns a plan of other partitions, whose epochs are larger than all before.
func (r *planRow) relaid(partitions int) *planRow {
	other := newPlanRow(partitions)
	other.Epoch = r.Epoch
	for i := range r.Slots {
		other.Slots[0].Epoch = max(other.Slots[0].Epoch, r.Slots[i].Epoch)
	}
	for i := range other.Slots {
		other.Slots[i].Epoch = other.Slots[0].Epoch
	}
	return other
}

func parsePlanRow(row *Row) (*planRow, error) {
	r := &planRow{}
	err := json.Unmarshal(row.Data, r)
	switch {
	case err != nil:
		return nil, fmt.Errorf("plan cannot be read: %w", err)
	case r.Version != planVersion:
		return nil, fmt.Errorf("plan has version %d, not %d", r.Version, planVersion)
	case r.Partitions != len(r.Slots) || r.Partitions < 1 || r.Partitions > MaxPartitions:
		return nil, fmt.Errorf("plan has %d slots for %d partitions", len(r.Slots), r.Partitions)
	}
	return r, nil
}

func (r *planRow) encode() ([]byte, error) { return json.Marshal(r) }

func (r *planRow) clone() *planRow {
	c := *r
	c.Members, c.Slots = slices.Clone(r.Members), slices.Clone(r.Slots)
	return &c
}

func (r *planRow) equal(other *planRow) bool {
	sameSlot := func(a, b slot) bool {
		return a.Since.Equal(b.Since) && a.NotBefore.Equal(b.NotBefore) && a.withoutTimes() == b.withoutTimes()
	}
	sameMember := func(a, b planMember) bool {
		return a.ID == b.ID && a.Draining == b.Draining && a.Joined.Equal(b.Joined) && a.Left.Equal(b.Left)
	}
	return r.Partitions == other.Partitions && r.Hold.Equal(other.Hold) &&
		slices.EqualFunc(r.Members, other.Members, sameMember) && slices.EqualFunc(r.Slots, other.Slots, sameSlot)
}

func (s slot) withoutTimes() slot {
	s.Since, s.NotBefore = time.Time{}, time.Time{}
	return s
}

// member returns a member of the plan, or nil.
func (r *planRow) member(id string) *planMember {
	if i := slices.IndexFunc(r.Members, func(m planMember) bool { return m.ID == id }); i >= 0 {
		return &r.Members[i]
	}
	return nil
}

// join adds a member unless it takes part already.
func (r *planRow) join(id, name string, now time.Time) {
	if m := r.member(id); m != nil {
		m.Draining = false
		return
	}
	r.Members = append(r.Members, planMember{ID: id, Name: name, Joined: now})
	slices.SortFunc(r.Members, func(a, b planMember) int {
		return cmp.Or(a.Joined.Compare(b.Joined), cmp.Compare(a.ID, b.ID))
	})
}

func (r *planRow) owns(id string) bool {
	return slices.ContainsFunc(r.Slots, func(s slot) bool { return s.isOwnedBy(id) })
}
