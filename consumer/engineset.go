package consumer

import (
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// engineSet is the engines of a subscription that run: one, or one for each partition that this
// process owns; and what holds for all of them, those that follow included. Its lock is never taken
// while that of an engine is held.
type engineSet struct {
	mu          sync.Mutex
	running     []*engine
	ended       Stats // what those counted that have ended
	pausedBy    []string
	pausedSince time.Time  // zero: not paused
	pauses      [][]string // each pausedBy that is to be observed, the earliest first
	pauseNoted  *sync.Cond // nil: nobody observes them
	closed      bool
}

// add takes in an engine before it starts, and pauses it if the subscription is paused.
func (s *engineSet) add(e *engine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, e)
	if len(s.pausedBy) > 0 {
		e.pause()
	}
}

// pause stops new runs of one engine.
func (e *engine) pause() {
	e.stepMachine(func(m *protocol.Machine, now time.Time) {
		e.paused = true
		m.Pause(now)
	})
}

// resume ends a pause.
func (e *engine) resume() {
	e.stepMachine(func(m *protocol.Machine, _ time.Time) {
		e.paused = false
		m.Resume()
	})
}

// remove lets an engine go that has ended, and keeps what it has counted.
func (s *engineSet) remove(e *engine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = slices.DeleteFunc(s.running, func(r *engine) bool { return r == e })
	s.ended = addStats(s.ended, endedStats(e.stats()))
}

// list returns the engines that run.
func (s *engineSet) list() []*engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.running)
}

// step calls f on the Machine of each engine.
func (s *engineSet) step(f func(*engine, *protocol.Machine, time.Time)) {
	for _, e := range s.list() {
		e.stepMachine(func(m *protocol.Machine, now time.Time) { f(e, m, now) })
	}
}

// stats returns the counts of all engines, those that have ended included.
func (s *engineSet) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.ended
	for _, e := range s.running {
		sum = addStats(sum, e.stats())
	}
	return sum
}

func (e *engine) stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.machine.Stats()
}

func addStats(a, b Stats) Stats {
	return Stats{
		InFlight: a.InFlight + b.InFlight, Running: a.Running + b.Running, Allowed: a.Allowed + b.Allowed, Unmarked: a.Unmarked + b.Unmarked,
		Retrying: a.Retrying + b.Retrying, Handled: a.Handled + b.Handled, Duplicates: a.Duplicates + b.Duplicates, Failed: a.Failed + b.Failed,
		Dead: a.Dead + b.Dead, Deferred: a.Deferred + b.Deferred, Skipped: a.Skipped + b.Skipped, Held: a.Held + b.Held,
		GivenBack: a.GivenBack + b.GivenBack, Lost: a.Lost + b.Lost, Dropped: a.Dropped + b.Dropped,
	}
}

// endedStats is what is left of an engine's counts once it has ended: not what stood then.
func endedStats(s Stats) Stats {
	s.InFlight, s.Running, s.Allowed, s.Unmarked, s.Retrying = 0, 0, 0, 0, 0
	return s
}
