package group

import (
	"context"
	"time"
)

// Enter lets a run start. It returns at once unless this process was frozen, or cut off from a
// store that is a Connector, for so long that its row may have expired and a pause may have been
// confirmed without it. Then it blocks until the pauses were read and applied again and the row was
// renewed. If ctx ends first, Enter returns its cause; after the session has left its group,
// ErrLeft. leave does nothing.
//
// It is entered before the gates that Apply shuts, so that what waited here meets them. While a
// process that is not frozen cannot reach its store, it keeps its last known pauses, and goes on.
func (s *Session) Enter(ctx context.Context) (leave func(error), err error) {
	if s.mayStart() {
		return leaveGate, nil
	}
	if err := s.awaitRefresh(ctx); err != nil {
		return nil, err
	}
	return leaveGate, nil
}

func leaveGate(error) {}

// mayStart reports whether the pauses that this process knows hold for what starts now.
func (s *Session) mayStart() bool {
	now := s.options.Now()
	return s.isAlive(now) && (s.isListed(now) || s.excused.Load() || !s.isConnected())
}

// isAlive reports whether this process has been running up to now, without a freeze that a refresh
// has not followed yet.
func (s *Session) isAlive(now time.Time) bool {
	last := s.alive.Load()
	return last != nil && elapsed(*last, now) <= s.freezeLimit
}

// isListed reports whether the member's row has not expired since pauses were read.
func (s *Session) isListed(now time.Time) bool {
	last := s.listed.Load()
	return last != nil && elapsed(*last, now) <= s.store.TTL()-s.tickInterval()
}

func (s *Session) isConnected() bool {
	c, ok := s.store.(Connector)
	return !ok || c.Connected()
}

// awaitRefresh waits for a refresh after which runs may start. It looks from time to time whether
// the store cannot be reached.
func (s *Session) awaitRefresh(ctx context.Context) error {
	ticker := time.NewTicker(s.tickInterval())
	defer ticker.Stop()
	s.requestRefresh()
	for {
		s.mu.Lock()
		refreshed, left := s.refreshed, s.left
		s.mu.Unlock()
		if left {
			return ErrLeft
		}
		if s.mayStart() {
			return nil
		}
		select {
		case <-refreshed:
			if !s.mayStart() {
				s.requestRefresh()
			}
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// keepTicking notes four times per heartbeat that this process runs.
func (s *Session) keepTicking(ctx context.Context) {
	ticker := time.NewTicker(s.tickInterval())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.tick(s.options.Now())
		case <-ctx.Done():
			return
		}
	}
}

// tick notes that this process runs. The first tick after a freeze does not: a refresh does, in
// thaw. Leases and ownerships end here, when they are too old.
func (s *Session) tick(now time.Time) {
	s.loseLeases(now, s.certainFor())
	s.losePartitions(now)
	last := s.alive.Load()
	if last == nil {
		return
	}
	if elapsed(*last, now) > s.freezeLimit {
		s.loseLeases(now, 0)
		s.requestRefresh()
		return
	}
	s.alive.CompareAndSwap(last, &now)
}

// thaw lets runs start again after a refresh, unless this process was frozen during it.
func (s *Session) thaw(began, now time.Time) {
	last := s.alive.Load()
	if last == nil || elapsed(began, now) > s.freezeLimit {
		s.requestRefresh()
		return
	}
	s.alive.CompareAndSwap(last, &now)
}

func (s *Session) tickInterval() time.Duration { return s.options.Heartbeat / 4 }

// callTimeout bounds each call of the store.
func (s *Session) callTimeout() time.Duration {
	return min(s.freezeLimit/2, s.options.Heartbeat, 5*time.Second)
}

// elapsed is the time between two moments, by the monotonic or the wall clock, whichever is more: a
// monotonic clock stands still while some machines are suspended.
func elapsed(then, now time.Time) time.Duration {
	return max(now.Sub(then), time.Duration(now.UnixNano()-then.UnixNano()))
}
