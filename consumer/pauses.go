package consumer

import (
	"slices"
	"time"
)

// pauseBy pauses every engine on somebody's behalf.
func (s *engineSet) pauseBy(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.pausedBy, who) {
		return
	}
	if s.pausedBy = append(s.pausedBy, who); len(s.pausedBy) == 1 {
		s.pausedSince = time.Now()
	}
	for _, e := range s.running {
		e.pause()
	}
	s.notePause()
}

// resumeBy ends a pauseBy.
func (s *engineSet) resumeBy(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.pausedBy, who)
	if at < 0 {
		return
	}
	if s.pausedBy = slices.Delete(s.pausedBy, at, at+1); len(s.pausedBy) == 0 {
		s.pausedSince = time.Time{}
		for _, e := range s.running {
			e.resume()
		}
	}
	s.notePause()
}

// paused returns who has paused the subscription, and since when it is paused.
func (s *engineSet) paused() (by []string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pausedBy), s.pausedSince
}

// notePause has it observed who pauses the subscription now. It is called with the lock held, once
// for each change. What changes after the end is not observed.
func (s *engineSet) notePause() {
	if s.pauseNoted == nil || s.closed {
		return
	}
	s.pauses = append(s.pauses, slices.Clone(s.pausedBy))
	s.pauseNoted.Signal()
}

// observePauses is the loop that tells observers who pauses the subscription, also what has changed
// right before the end. Whoever pauses it does not wait for them.
func (s *engineSet) observePauses(o *observers) {
	for open := true; open; {
		var pauses [][]string
		pauses, open = s.awaitPauses()
		for _, by := range pauses {
			o.ObservePause(by)
		}
	}
}

// awaitPauses waits for a change. It returns false once no other follows.
func (s *engineSet) awaitPauses() (pauses [][]string, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pauses) == 0 && !s.closed {
		s.pauseNoted.Wait()
	}
	pauses, s.pauses = s.pauses, nil
	return pauses, !s.closed
}

// close ends observePauses.
func (s *engineSet) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.pauseNoted != nil {
		s.pauseNoted.Broadcast()
	}
}
