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
	before, revision, err := findPlan(l, a.topic)
	if err == nil {
		err = r.read(ctx, s, before)
	}
	if err != nil {
		return s.options.Heartbeat, err
	}
	now := s.options.Now()
	m, ok := s.isMember(now)
	if !ok {
		return s.tickInterval(), nil // it loses what it owns, and the refresh makes it one again
	}
	hold := time.Time{}
	switch {
	case before == nil:
		hold = a.holdUntil(l, l.now(now))
	case before.Partitions != a.partitions && r.hasLive(before, now):
		return r.nextExpiry(before, now, s.options.Heartbeat), fmt.Errorf("%w: %d, not %d", ErrOtherLayout, before.Partitions, a.partitions)
	case before.Partitions != a.partitions:
		before = nil
	}
	if a.isDraining() && a.countOwned() == 0 && (before == nil || before.member(s.id) == nil) {
		a.close()
		return s.options.Heartbeat, nil
	}
	c := a.reconcile(before, hold, l.now(now))
	p := planner{now: c.now, live: func(id string) bool { return r.isLive(id, now) }}
	p.step(c.row)
	a.takeNext(c)
	if before == nil || !before.equal(c.row) {
		if err := a.store(ctx, c.row, revision); err != nil {
			return s.options.Heartbeat, err
		}
	}
	a.known = true
	a.verified.Store(&l.began)
	a.follow(ctx, c, m)
	wait = r.nextExpiry(c.row, now, s.options.Heartbeat)
	if !p.wake.IsZero() {
		wait = min(wait, p.wake.Sub(c.now))
	}
	return wait, nil
}

func (a *Assignment) store(ctx context.Context, row *planRow, revision uint64) error {
	row.Epoch++
	data, err := row.encode()
	if err != nil {
		return err
	}
	_, err = a.session.put(ctx, PlanRows, a.topic, data, revision)
	return err
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
		a.log.Warn("partitions cannot be planned; those that are owned are lost when that lasts", "err", err)
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
