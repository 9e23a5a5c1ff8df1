package group

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// refreshAll reads the pauses, applies them, confirms that in the member's row, and renews the
// leases. It is all that a session ever does with its store: when it joins, at each heartbeat, when
// pauses change, and after it was frozen.
//
// A row that may have expired is stored before the pauses are read. So whoever stores a pause and
// then lists the members either finds this one, unconfirmed, or has stored the pause before this
// one reads it.
func (s *Session) refreshAll(ctx context.Context) error {
	began, connected, before := s.options.Now(), s.isConnected(), s.known.applied
	wanted := s.renewal.Swap(false)
	err := s.rejoin(ctx, began)
	if err == nil {
		err = s.readPauses(ctx)
	}
	s.applyPauses()
	if err == nil && (wanted || before != s.known.applied || s.isRenewalDue(began)) {
		if err = s.renewRow(ctx, s.state()); err == nil {
			err = s.renewLeases(ctx)
		}
	}
	if errors.Is(err, ErrNoStore) {
		s.noteMembership(began, s.options.Now()) // nobody can see that the row is not there
	}
	if ctx.Err() == nil {
		s.excused.Store(err != nil && connected && s.isConnected())
		s.noteRefresh(began, err)
	}
	return err
}

// isRenewalDue reports whether a refresh renews the row though nothing has changed: plans change
// often, and each change brings about a refresh.
func (s *Session) isRenewalDue(now time.Time) bool {
	return elapsed(s.renewed, now) >= s.tickInterval() || len(s.openAssignments()) == 0 || s.Status().Err != nil
}

// rejoin stores the member's row if it may have expired, or may expire before pauses are read.
func (s *Session) rejoin(ctx context.Context, now time.Time) error {
	first := s.renewed.IsZero()
	if !first && elapsed(s.renewed, now) <= s.store.TTL()-s.options.Heartbeat {
		return nil
	}
	if first {
		return s.renewRow(ctx, Joining)
	}
	s.loseLeases(now, 0)
	s.log.Warn("member was not renewed in time; it joins its group again", "member", s.id, "after", elapsed(s.renewed, now))
	return s.renewRow(ctx, s.state())
}

func (s *Session) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return Draining
	}
	return Running
}

func (s *Session) readPauses(ctx context.Context) error {
	listing, err := s.list(ctx, PauseRows)
	if err != nil {
		return err
	}
	if s.started.IsZero() {
		s.started = listing.Now
	}
	if last := s.known.applied.Incarnation; last != "" && last != listing.Incarnation {
		s.log.Warn("pauses were deleted with their store, and another one was made; what was paused is no longer",
			"paused", len(s.inForce))
	}
	if broken := s.known.update(&listing, s.options.Now()); broken != nil {
		s.log.Error("pause cannot be read; what was read last holds, or a pause if nothing was: pause or resume the scope again",
			"err", broken)
	}
	return nil
}

// applyPauses applies what is in force now, whether or not the store was reached: pauses end.
func (s *Session) applyPauses() {
	paused := s.known.inForce(s.options.Now())
	if slices.EqualFunc(paused, s.inForce, Paused.equal) {
		return
	}
	s.options.Apply(slices.Clone(paused))
	s.log.Info("pauses changed", "paused", fmt.Sprint(paused), "before", fmt.Sprint(s.inForce))
	s.inForce = paused
}

// renewRow stores the member's row, which confirms what is applied.
func (s *Session) renewRow(ctx context.Context, state string) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	data, err := Member{
		ID: s.id, Name: s.options.Name, Host: host, PID: os.Getpid(), Version: s.options.Version,
		Started: s.started, State: state, Applied: s.known.applied, Subscriptions: s.options.Describe(),
	}.encode()
	if err != nil {
		return err
	}
	sent := s.options.Now()
	if _, err = s.put(ctx, MemberRows, s.id, data, AnyRevision); err == nil {
		s.renewed = sent
		s.noteMembership(sent, s.options.Now())
	}
	return err
}

// noteRefresh records the outcome of a refresh that began at a time.
func (s *Session) noteRefresh(began time.Time, err error) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.status.Err
	s.status = Status{ID: s.id, Reached: s.status.Reached, Err: err, Applied: s.known.applied, Paused: s.inForce}
	if err != nil {
		if was == nil {
			s.log.Warn("group store is not reached; the last known pauses hold", "err", err)
		}
		return
	}
	if was != nil {
		s.log.Info("group store is reached again", "after", elapsed(s.status.Reached, now))
		s.requestPlan()
	}
	s.status.Reached = now
	listed := s.renewed
	s.listed.Store(&listed)
	s.thaw(began, now)
	close(s.refreshed)
	s.refreshed = make(chan struct{})
}
