package group

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// maxRow bounds a member's row in bytes.
const maxRow = 8 << 10

// States of a Member.
const (
	// Joining: the member has not read the pauses yet, and starts nothing.
	Joining = "joining"
	// Running: the member takes part.
	Running = "running"
	// Draining: the member finishes what runs, and leaves.
	Draining = "draining"
	// Unreadable: the member's row cannot be read. It confirms nothing.
	Unreadable = "unreadable"
)

// Member is a process of a group.
type Member struct {
	// ID is random, one for each start of a process.
	ID string `json:"id"`
	// Name is stable across starts, if the process was given one.
	Name    string `json:"name,omitempty"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Version string `json:"version,omitempty"`
	// Started is when it joined, by the store's clock.
	Started time.Time `json:"started,omitzero"`
	// State is Joining, Running, Draining or Unreadable.
	State string `json:"state"`
	// Applied is up to where the member has applied pauses.
	Applied       Applied        `json:"applied"`
	Subscriptions []Subscription `json:"subscriptions,omitempty"`
	// Omitted is how many more subscriptions there are than the row has room for.
	Omitted int `json:"omitted,omitempty"`
	// Renewed is when the row was stored, by the store's clock.
	Renewed time.Time `json:"-"`
}

// Applied names the pauses that a process has applied: all up to a revision of an incarnation.
type Applied struct {
	Incarnation string `json:"incarnation"`
	Revision    uint64 `json:"revision"`
}

// Subscription is what a member reports of one of its subscriptions, or of its outbox drainer.
type Subscription struct {
	Topic string `json:"topic"`
	// State is for people: running, paused, limited or unavailable, say; Why is its reason.
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
	// Order is which events wait for which, as consumer.Order has it. Empty: it is not known.
	Order string `json:"order,omitempty"`
	// Partitions are those that the member owns, where the subscription is on partitions.
	Partitions []int `json:"partitions,omitempty"`
	// Owner begins the nonce of each claim that the subscription makes. Empty: it is not known.
	Owner string `json:"owner,omitempty"`
	// Rate is how many events were started per second lately.
	Rate        float64 `json:"rate"`
	InFlight    int     `json:"in_flight"`
	Concurrency int     `json:"concurrency,omitempty"`
	// Lag is how many events the group has not handled. Negative: it is not known.
	Lag int64 `json:"lag"`
	// LastSettled is when an event was settled last, by the member's clock.
	LastSettled time.Time `json:"last_settled,omitzero"`
	// TTLSeconds is how long marks are kept: in a longer pause than half of it they expire. Zero:
	// none are kept.
	TTLSeconds float64 `json:"ttl_seconds,omitempty"`
}

// Members returns the live members of a group, in the order in which they joined. It blocks for one
// reading of the store.
func Members(ctx context.Context, store Store, group string) ([]Member, error) {
	if err := validateGroup(group); err != nil {
		return nil, err
	}
	listing, err := store.List(ctx, MemberRows, group)
	if err != nil {
		return nil, fmt.Errorf("members of group %q: %w", group, err)
	}
	members := make([]Member, 0, len(listing.Rows))
	for _, row := range listing.Rows {
		members = append(members, parseMember(&row))
	}
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return members, nil
}

func parseMember(row *Row) Member {
	var m Member
	if err := json.Unmarshal(row.Data, &m); err != nil || m.ID != row.Key {
		m = Member{ID: row.Key, State: Unreadable}
	}
	m.Renewed = row.Stored
	return m
}

// encode returns the member's row. Subscriptions for which there is no room are only counted.
func (m Member) encode() ([]byte, error) {
	for {
		data, err := json.Marshal(m)
		if err != nil || len(data) <= maxRow || len(m.Subscriptions) == 0 {
			return data, err
		}
		cut := 1 + len(m.Subscriptions)/8
		m.Subscriptions = m.Subscriptions[:len(m.Subscriptions)-cut]
		m.Omitted += cut
	}
}
