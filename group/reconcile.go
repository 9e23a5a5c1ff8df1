package group

import (
	"context"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Bounds of the pause after a Run that ended by itself. One that lasted for steadyRun forgets those
// before.
const (
	firstRunPause = time.Second
	lastRunPause  = time.Minute
	steadyRun     = time.Minute
)

// planChange is what a process changes in a plan, and does once that is stored.
type planChange struct {
	row   *planRow
	now   time.Time // the store's
	taken []int
	freed []*Ownership
	// gone is whether the process takes part no more.
	gone bool
}

// reconcile puts what this process owns, has freed and takes back into a plan; nil: there is none.
// It ends Runs whose partitions are to move, or are another's.
func (a *Assignment) reconcile(before *planRow, hold, now time.Time) *planChange {
	c := &planChange{now: now}
	if before == nil {
		c.row = newPlanRow(a.partitions)
		c.row.Hold = hold
	} else {
		c.row = before.clone()
	}
	draining := a.isDraining()
	if !draining {
		c.row.join(a.session.id, a.session.options.Name, c.now)
	}
	a.reconcileOwned(c)
	a.reconcileOthers(c, draining)
	if draining {
		a.reconcileDrain(c)
	}
	return c
}

// holdUntil is until when a plan that is missing is not made for partitions whose owners are not
// known. The store was deleted with it, or it alone was.
func (a *Assignment) holdUntil(l *planListing, now time.Time) (hold time.Time) {
	ttl := a.session.store.TTL()
	known := a.known || a.countOwned() > 0
	switch young := l.Created.Add(ttl).Round(0); {
	case now.Before(young) && (known || a.options.MayHaveOwners):
		return young
	case known:
		return now.Add(ttl)
	}
	return time.Time{}
}

func (a *Assignment) isDraining() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.draining
}

// reconcileOwned compares the plan with what is owned.
func (a *Assignment) reconcileOwned(c *planChange) {
	id := a.session.id
	for _, o := range a.ownerships() {
		s := &c.row.Slots[o.partition]
		if s.isUnknown() && !o.lost.Load() { // the store was deleted
			s.Owner, s.Epoch, s.Since = id, o.epoch, c.now
			c.row.join(id, a.session.options.Name, c.now)
		}
		isOwner := s.isOwnedBy(id) && s.Epoch == o.epoch
		switch {
		case o.lost.Load():
		case a.hasReturned(o):
			if isOwner { // else an answer was lost
				a.freeSlot(s, o, c.now)
			}
			c.freed = append(c.freed, o)
		case !isOwner:
			a.lose(o, "another process may have it")
		case s.Next != "" && s.Next != id:
			a.revoke(o)
		}
	}
}

func (a *Assignment) hasReturned(o *Ownership) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return o.returned
}

// freeSlot frees the partition of a Run that has returned.
func (a *Assignment) freeSlot(s *slot, o *Ownership, now time.Time) {
	a.mu.Lock()
	revoked := o.revoked
	a.mu.Unlock()
	s.free(now)
	if revoked {
		s.Failures = 0
		return
	}
	if time.Since(o.began) >= steadyRun {
		s.Failures = 0
	}
	s.NotBefore = now.Add(backoff.Doubled(firstRunPause, s.Failures, lastRunPause))
	s.Failures++
}

// reconcileOthers takes back what this process owned before it lost its membership, or an answer,
// or frees it if it is to move.
func (a *Assignment) reconcileOthers(c *planChange, draining bool) {
	id := a.session.id
	for i := range c.row.Slots {
		s := &c.row.Slots[i]
		if a.isBusy(i) {
			continue
		}
		switch {
		case s.isOwnedBy(id) && (draining || s.Next != "" && s.Next != id):
			s.free(c.now)
		case s.isOwnedBy(id):
			s.take(id, c.now)
			c.taken = append(c.taken, i)
		}
	}
}

// takeNext takes what is planned for this process and free.
func (a *Assignment) takeNext(c *planChange) {
	if a.isDraining() {
		return
	}
	id := a.session.id
	for i := range c.row.Slots {
		if s := &c.row.Slots[i]; s.Next == id && s.isFree() && !a.isBusy(i) {
			s.take(id, c.now)
			c.taken = append(c.taken, i)
		}
	}
}

// isBusy reports whether a Run works on a partition, or its end is not noted in the plan.
func (a *Assignment) isBusy(partition int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.owned[partition] != nil
}

// reconcileDrain shows this process as draining, until it owns nothing more.
func (a *Assignment) reconcileDrain(c *planChange) {
	id := a.session.id
	m := c.row.member(id)
	if m != nil {
		m.Draining = true
	}
	c.gone = !c.row.owns(id) && a.countOwned() == len(c.freed)
}

// countOwned counts what this process owns, or whose Run has not returned.
func (a *Assignment) countOwned() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.owned)
}

// dropLost forgets lost partitions whose Runs have returned.
func (a *Assignment) dropLost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, o := range a.owned {
		if o.returned && o.lost.Load() {
			delete(a.owned, p)
		}
	}
}

// follow does what the plan says, now that it is stored.
func (a *Assignment) follow(ctx context.Context, c *planChange, m membership) {
	a.mu.Lock()
	for _, o := range c.freed {
		delete(a.owned, o.partition)
	}
	a.mu.Unlock()
	for _, p := range c.taken {
		if now, ok := a.session.isMember(a.session.options.Now()); !ok || now.generation != m.generation {
			break // it takes them again when it is a member again
		}
		a.start(ctx, p, c.row.Slots[p].Epoch, m)
	}
	if len(c.taken) > 0 || len(c.freed) > 0 {
		a.session.renewal.Store(true)
		a.session.requestRefresh()
	}
	if len(c.freed) > 0 || len(c.taken) > 0 || c.gone {
		a.warnOfNamesakes(c.row)
	}
	if c.gone {
		a.close()
	}
}

// warnOfNamesakes warns of another live member with the name of this one: names are for processes
// one after the other.
func (a *Assignment) warnOfNamesakes(row *planRow) {
	name := a.session.options.Name
	if name == "" || a.warned {
		return
	}
	for i := range row.Members {
		if m := &row.Members[i]; m.Name == name && m.ID != a.session.id && m.Left.IsZero() && !m.Draining {
			a.warned = true
			a.log.Warn("another member has this name; both take part, and a name should be of one process at a time",
				"name", name, "member", m.ID)
		}
	}
}

// close ends the assignment. A repeated call does nothing.
func (a *Assignment) close() {
	a.mu.Lock()
	first := !a.closed
	a.closed = true
	a.mu.Unlock()
	if !first {
		return
	}
	a.session.mu.Lock()
	if a.session.assignments[a.topic] == a {
		delete(a.session.assignments, a.topic)
	}
	a.session.mu.Unlock()
	close(a.done)
}
