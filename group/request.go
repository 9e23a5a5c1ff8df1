package group

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Times of the wait for members to confirm.
const (
	// ConfirmWithin is how long Pause and Resume wait for confirmations at most. It is more than a
	// heartbeat, at which members whose watches hang read the pauses.
	ConfirmWithin = DefaultTTL/3 + 2*time.Second
	firstPoll     = 5 * time.Millisecond
	lastPoll      = 500 * time.Millisecond
)

// Result is what became of a pause or a resume.
type Result struct {
	// Revision is that of the row that was stored.
	Revision uint64 `json:"revision"`
	// Until is when the pause ends by itself, by the store's clock. Zero: it does not.
	Until time.Time `json:"until,omitzero"`
	// Confirmed are the members that have applied it.
	Confirmed []Member `json:"confirmed"`
	// Missing are the live members that have not.
	Missing []Member `json:"missing"`
	// Gone are members that had not confirmed when their rows expired or were deleted.
	Gone []Member `json:"gone"`
}

// Pause stops new runs in every process of a group, and waits until each live member has confirmed
// that it starts nothing more. What runs already finishes. It blocks until then, for ConfirmWithin,
// or until ctx ends, and then returns ErrUnconfirmed with the members that are missing.
//
// Of several requests for one scope at once the last one stored holds; the others return
// ErrSuperseded. A repeated call pauses from now on again. ErrConflict is returned where
// Request.IfRevision is not the revision of the scope, and nothing was stored. If Pause returns
// another error, the pause may have been stored: see Pauses.
func Pause(ctx context.Context, store Store, group string, r Request) (Result, error) {
	return request(ctx, store, group, r, true)
}

// Resume ends a pause of the same scope, and waits as Pause does. It leaves pauses of other scopes
// alone. What is not paused may be resumed.
func Resume(ctx context.Context, store Store, group string, r Request) (Result, error) {
	r.For = 0
	return request(ctx, store, group, r, false)
}

// Pauses returns the pauses of a group that are in force, by topic. It blocks for one reading of
// the store.
func Pauses(ctx context.Context, store Store, group string) ([]Paused, error) {
	if err := validateGroup(group); err != nil {
		return nil, err
	}
	listing, err := store.List(ctx, PauseRows, group)
	if err != nil {
		return nil, fmt.Errorf("pauses of group %q: %w", group, err)
	}
	var k knownPauses
	_ = k.update(&listing, listing.Now) // Paused.Unreadable says it
	return k.inForce(listing.Now), nil
}

func request(ctx context.Context, store Store, group string, r Request, paused bool) (Result, error) {
	if err := r.validate(group); err != nil {
		return Result{}, err
	}
	c, err := storeRequest(ctx, store, group, &r, paused)
	if err != nil {
		return Result{}, fmt.Errorf("group %q: %w", group, err)
	}
	result, err := c.awaitMembers(ctx)
	if err != nil {
		return result, fmt.Errorf("group %q: %w", group, err)
	}
	return result, nil
}

func storeRequest(ctx context.Context, store Store, group string, r *Request, paused bool) (*confirmation, error) {
	before, err := store.List(ctx, PauseRows, group)
	if err != nil {
		return nil, err
	}
	row := scopeRow{Version: scopeVersion, Pauses: &paused, Paused: Paused{Topic: r.Topic, Reason: r.Reason, By: r.By, Since: before.Now}}
	if r.For > 0 {
		row.Until = before.Now.Add(r.For)
	}
	data, err := json.Marshal(row)
	if err != nil {
		return nil, err
	}
	c := &confirmation{
		store: store, group: group, key: scopeKey(r.Topic), waiting: make(map[string]Member), result: Result{Until: row.Until},
	}
	c.result.Revision, err = store.Put(ctx, PauseRows, group, c.key, data, cmp.Or(r.IfRevision, AnyRevision))
	return c, err
}

// confirmation is the wait for the members to apply a row.
type confirmation struct {
	store      Store
	group, key string
	waiting    map[string]Member // seen, and not confirmed yet
	result     Result
}

func (c *confirmation) awaitMembers(ctx context.Context) (Result, error) {
	bounded, cancel := context.WithTimeout(ctx, ConfirmWithin)
	defer cancel()
	for poll := 0; ; poll++ {
		err := c.readMembers(bounded)
		if err == nil && len(c.result.Missing) == 0 || errors.Is(err, ErrSuperseded) {
			return c.result, err
		}
		if backoff.Sleep(bounded, backoff.Doubled(firstPoll, poll, lastPoll)) == nil {
			continue
		}
		if err != nil {
			return c.result, fmt.Errorf("%w: members cannot be read: %w", ErrUnconfirmed, err)
		}
		return c.result, fmt.Errorf("%w: %d missing", ErrUnconfirmed, len(c.result.Missing))
	}
}

// readMembers divides the members into those that have confirmed and those that have not. The row
// is read after them: as long as it is there, what they have applied is this row.
func (c *confirmation) readMembers(ctx context.Context) error {
	members, err := Members(ctx, c.store, c.group)
	if err != nil {
		return err
	}
	listing, err := c.store.List(ctx, PauseRows, c.group)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(listing.Rows, func(r Row) bool { return r.Key == c.key && r.Revision == c.result.Revision }) {
		return ErrSuperseded
	}
	c.result.Confirmed, c.result.Missing, c.result.Gone = []Member{}, []Member{}, []Member{}
	live := make(map[string]bool, len(members))
	for _, m := range members {
		live[m.ID] = true
		if m.Applied.Incarnation == listing.Incarnation && m.Applied.Revision >= c.result.Revision {
			c.result.Confirmed = append(c.result.Confirmed, m)
			delete(c.waiting, m.ID)
			continue
		}
		c.result.Missing = append(c.result.Missing, m)
		c.waiting[m.ID] = m
	}
	for id, m := range c.waiting {
		if !live[id] {
			c.result.Gone = append(c.result.Gone, m)
		}
	}
	slices.SortFunc(c.result.Gone, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}
