package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Bounds of the tries to change a plan that others change as well, and of the time between them.
const (
	maxPlanTries  = 50
	firstPlanWait = time.Millisecond
	lastPlanWait  = 50 * time.Millisecond
)

// nothingDue is how long a driver waits that has no assignments.
const nothingDue = time.Hour

// keepAssigning takes part in the plans of the topics that are assigned: when they change, when
// something is due, and at each heartbeat.
func (s *Session) keepAssigning(ctx context.Context) {
	var r roster
	failures := 0
	for ctx.Err() == nil {
		wait, err := s.assignAll(ctx, &r)
		if err != nil {
			failures++
			wait = min(wait, backoff.Doubled(s.options.Heartbeat/8, failures-1, s.options.Heartbeat))
		} else {
			failures = 0
		}
		backoff.Wait(ctx, s.replan, wait)
	}
}

// assignAll brings every assignment forward as far as it goes, and returns when to do so again.
func (s *Session) assignAll(ctx context.Context, r *roster) (wait time.Duration, err error) {
	open := s.openAssignments()
	if len(open) == 0 {
		return nothingDue, nil
	}
	wait = s.options.Heartbeat
	listing, err := s.listPlans(ctx)
	for _, a := range open {
		due, failed := wait, err
		if failed == nil {
			due, failed = a.advance(ctx, listing, r)
		}
		if errors.Is(failed, ErrNoStore) {
			a.verified.Store(&listing.began) // nobody can have taken anything
		}
		a.noteResult(failed)
		err = errors.Join(err, failed)
		wait = min(wait, due)
	}
	return wait, err
}

func (s *Session) openAssignments() []*Assignment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.assignments))
}

// planListing is a listing of plans, and when it began by the local clock.
type planListing struct {
	Listing

	began time.Time
}

func (s *Session) listPlans(ctx context.Context) (planListing, error) {
	began := s.options.Now()
	l, err := s.list(ctx, PlanRows)
	return planListing{Listing: l, began: began}, err
}

// now is the store's time.
func (l *planListing) now(local time.Time) time.Time {
	return l.Now.Round(0).Add(max(elapsed(l.began, local), 0))
}

// advance changes the plan of a topic until it holds what this process has to say, and does what it
// says. It returns when to do so again.
func (a *Assignment) advance(ctx context.Context, l planListing, r *roster) (wait time.Duration, err error) {
	for try := 0; ; try++ {
		wait, err = a.advanceOnce(ctx, &l, r)
		if !errors.Is(err, ErrConflict) || try == maxPlanTries {
			return wait, err
		}
		pause := rand.N(backoff.Doubled(firstPlanWait, try-1, lastPlanWait)) //nolint:gosec // spreads load
		if err := backoff.Sleep(ctx, pause); err != nil {
			return wait, err
		}
		if l, err = a.session.listPlans(ctx); err != nil {
			return wait, err
		}
	}
}

// advanceOnce makes one compare-and-swap at most.
func (a *Assignment) advanceOnce(ctx context.Context, l *planListing, r *roster) (wait time.Duration, err error) {
	s := a.session
	a.dropLost()
	now := s.options.Now()
	v, err := a.readPlan(ctx, l, r)
	if err != nil {
		return r.nextExpiry(v.plan, now, s.options.Heartbeat), err
	}
	m, ok := s.isMember(now)
	if !ok {
		return s.tickInterval(), nil // it loses what it owns, and the refresh makes it one again
	}
	if a.isDraining() && a.countOwned() == 0 && (v.plan == nil || v.plan.member(s.id) == nil) {
		a.close()
		return s.options.Heartbeat, nil
	}
	c := a.reconcile(v.plan, v.hold, l.now(now))
	p := planner{now: c.now, ttl: s.store.TTL(), live: func(id string) bool { return r.isLive(id, now) }}
	turn, err := a.storeChange(ctx, &v, c, &p)
	if err != nil {
		return s.options.Heartbeat, err
	}
	a.known = true
	a.verified.Store(&l.began)
	if turn > 0 {
		return turn, nil
	}
	a.follow(ctx, c, m)
	wait = r.nextExpiry(c.row, now, s.options.Heartbeat)
	if !p.wake.IsZero() {
		wait = min(wait, p.wake.Sub(c.now))
	}
	return wait, nil
}

// planView is a plan as it was read.
type planView struct {
	plan     *planRow // nil: there is none
	revision uint64
	hold     time.Time // of the plan that is made in its place
}

// readPlan reads the plan, and the members.
func (a *Assignment) readPlan(ctx context.Context, l *planListing, r *roster) (v planView, err error) {
	v.plan, v.revision, err = findPlan(l, a.topic)
	if err == nil {
		err = r.read(ctx, a.session, v.plan)
	}
	now := a.session.options.Now()
	switch {
	case err != nil:
	case v.plan == nil:
		v.hold = a.holdUntil(l, l.now(now))
	case v.plan.Partitions != a.partitions && r.hasLive(v.plan, now):
		err = fmt.Errorf("%w: %d, not %d", ErrOtherLayout, v.plan.Partitions, a.partitions)
	case v.plan.Partitions != a.partitions:
		v.plan = v.plan.relaid(a.partitions)
	}
	return v, err
}

// storeChange plans what follows from a change, and stores both. What each member would change it
// leaves to others for a turn, and returns how long.
func (a *Assignment) storeChange(ctx context.Context, v *planView, c *planChange, p *planner) (turn time.Duration, err error) {
	own := v.plan == nil || !v.plan.equal(c.row)
	p.step(c.row)
	a.takeNext(c)
	if len(c.taken) == 0 && v.plan != nil && v.plan.equal(c.row) {
		return 0, nil // also where the step takes this process for gone, and has undone its change
	}
	if !own && len(c.taken) == 0 {
		if turn = a.awaitTurn(p, v); turn > 0 {
			return turn, nil
		}
	}
	c.row.Epoch++
	data, err := c.row.encode()
	if err != nil {
		return 0, err
	}
	_, err = a.session.put(ctx, PlanRows, a.topic, data, v.revision)
	return 0, err
}

// planTurn is how long a member has to plan what any of them may, before the next one does.
const planTurn = 100 * time.Millisecond

// awaitTurn returns how long this process leaves it to the members before it to change a plan as
// each of them would, so that not all of them try. Zero: it is its turn.
func (a *Assignment) awaitTurn(p *planner, v *planView) time.Duration {
	now := a.session.options.Now()
	if a.dueRevision != v.revision {
		a.dueRevision, a.dueSince = v.revision, now
	}
	isSelf := func(m *planMember) bool { return m.ID == a.session.id }
	rank := max(slices.IndexFunc(p.activeMembers(v.plan), isSelf), 0)
	return time.Duration(rank)*planTurn - elapsed(a.dueSince, now)
}

// findPlan returns the plan of a topic and its revision; nil if there is none.
func findPlan(l *planListing, topic string) (*planRow, uint64, error) {
	i := slices.IndexFunc(l.Rows, func(r Row) bool { return r.Key == topic })
	if i < 0 {
		return nil, 0, nil
	}
	row, err := parsePlanRow(&l.Rows[i])
	return row, l.Rows[i].Revision, err
}

// noteResult notes, and says in the log, whether the plan can be read and changed.
func (a *Assignment) noteResult(err error) {
	a.mu.Lock()
	was := a.err
	a.err = err
	a.mu.Unlock()
	switch {
	case err != nil && was == nil:
		a.log.Warn("partitions cannot be planned; none is assigned until they can be", "err", err)
	case err == nil && was != nil:
		a.log.Info("partitions can be planned again")
	}
}

// losePartitions ends the Runs of partitions that another process may own by now.
func (s *Session) losePartitions(now time.Time) {
	for _, a := range s.openAssignments() {
		a.loseUncertain(now)
	}
}

// freeWithin bounds how long partitions are freed by a session that ends, when every Run has
// returned. What is not freed by then is planned for others when the member's row is gone.
const freeWithin = 2 * time.Second

// drainAssignments hands over all that this process owns, for the store's TTL at most.
func (s *Session) drainAssignments(ctx context.Context) {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	open := s.openAssignments()
	bounded, cancel := context.WithTimeout(ctx, s.store.TTL())
	defer cancel()
	var all sync.WaitGroup
	for _, a := range open {
		all.Go(func() { _ = a.Drain(bounded) }) // what has not returned by then loses its partition
	}
	all.Wait()
	bounded, cancel = context.WithTimeout(ctx, freeWithin)
	defer cancel()
	for _, a := range open {
		if s.Status().Err != nil {
			return
		}
		select {
		case <-a.done:
		case <-bounded.Done():
		}
	}
}

// endAssignments ends what is left, and waits for every Run.
func (s *Session) endAssignments() {
	for _, a := range s.openAssignments() {
		for _, o := range a.ownerships() {
			a.lose(o, "the session ends")
		}
		a.runs.Wait()
		a.close()
	}
}
