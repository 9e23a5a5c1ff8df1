package consumer

import (
	"sync"
	"time"
)

// slots are the goroutines that run handlers: Options.Concurrency at most, for all engines of a
// subscription together. Engines that have something to run are served in turns, one event each, so
// that no slot is idle while any of them has work, and none has to wait for another's backlog.
//
// Its lock is taken while that of an engine is held, never the other way round.
type slots struct {
	most        int  // Options.Concurrency
	maxUnmarked int  // Options.MaxUnmarked
	areShared   bool // by several engines. A single one keeps to both bounds by itself.

	mu         sync.Mutex // guards what follows
	changed    sync.Cond  // for idle workers, and for whoever waits for them to end
	due        []*engine  // they may have something to run
	exposed    []*engine  // they have, and wait until less is unmarked
	unmarked   int        // how many have a slot to start, or have started, and are not marked
	workers    int
	idle       int // of workers
	leftBehind int // workers in handlers that do not return
	closed     bool
}

func newSlots(o *Options) *slots {
	s := &slots{most: o.Concurrency, maxUnmarked: o.MaxUnmarked, areShared: o.Order.needsSession()}
	s.changed.L = &s.mu
	return s
}

// offer has an engine served that may have something to run. It is called with the engine's lock
// held.
func (s *slots) offer(e *engine) {
	if e.offered.Swap(true) {
		return // a worker will take it, and look at it then
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = append(s.due, e)
	s.wakeWorker()
}

// wakeWorker makes sure that a worker takes what is due. It is called with the lock held.
func (s *slots) wakeWorker() {
	switch {
	case s.idle >= len(s.due): // one for each
		s.changed.Signal()
	case s.workers < s.most && !s.closed:
		s.workers++
		go s.runWorker()
	}
}

// awaitEngine blocks until an engine is due. It returns nil once the slots are closed.
func (s *slots) awaitEngine() *engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed {
		if len(s.due) > 0 {
			e := s.due[0]
			s.due = deleteFirst(s.due)
			e.offered.Store(false)
			return e
		}
		s.idle++
		s.changed.Wait()
		s.idle--
	}
	return nil
}

// haveOthers reports whether other engines wait for a slot.
func (s *slots) haveOthers() bool {
	if !s.areShared {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due) > 0
}

// areAllBusy reports whether several engines share the slots and none is idle, so that nothing more
// can start beside what runs.
func (s *slots) areAllBusy() bool {
	if !s.areShared {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle == 0 && s.workers >= s.most
}

// reserve lets one more event of an engine start, unless as many are unmarked as may be. Then the
// engine is due again once that is no longer so. It is called with the engine's lock held.
func (s *slots) reserve(e *engine) bool {
	if !s.areShared {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unmarked >= s.maxUnmarked {
		if !e.offered.Swap(true) {
			s.exposed = append(s.exposed, e)
		}
		return false
	}
	s.unmarked++
	e.reserved++
	return true
}

// settleAccount takes back what an engine has reserved and does not need any more, and lets it
// claim ahead as much as it may get slots for: those that are free and nobody waits for, and one.
// It is called after each step of the engine, with its lock held.
func (s *slots) settleAccount(e *engine, now time.Time) {
	if !s.areShared {
		return
	}
	if e.left {
		return // leaveBehind has settled it, but for handlers that have not returned
	}
	busy := e.machine.BusySlots()
	unneeded := e.reserved - e.machine.Exposure()
	e.reserved -= unneeded
	s.mu.Lock()
	s.release(unneeded)
	free := min(s.most-s.workers+s.idle, s.maxUnmarked-s.unmarked) - len(s.due) - len(s.exposed)
	s.mu.Unlock()
	e.slotShare = busy + max(0, free) + 1
	e.setCapacity(now)
}

// release takes back reservations, and serves as many engines that waited for them. It is called
// with the lock held.
func (s *slots) release(reserved int) {
	s.unmarked -= reserved
	for ; reserved > 0 && len(s.exposed) > 0; reserved-- {
		s.due = append(s.due, s.exposed[0])
		s.exposed = deleteFirst(s.exposed)
		s.wakeWorker()
	}
}

// leaveBehind notes that an engine has ended whose workers have not all left it: their handlers do
// not return. What they do is not marked any more, and keeps its reservation until they return. It
// is called with the engine's lock held.
func (s *slots) leaveBehind(e *engine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftBehind += e.workers
	kept := min(e.reserved, e.workers)
	s.release(e.reserved - kept)
	e.reserved, e.left = kept, true
	s.changed.Broadcast()
}

// countReturned notes that a worker left an engine that had ended before. It is called with the
// engine's lock held.
func (s *slots) countReturned(e *engine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftBehind--
	if e.reserved > 0 {
		e.reserved--
		s.release(1)
	}
}

// handlersLeftBehind is how many handlers hold slots whose engine has ended.
func (s *slots) handlersLeftBehind() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leftBehind
}

// workerEnded notes that a worker has ended. If its handler has ended the goroutine, another one
// takes its place when there is work.
func (s *slots) workerEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workers--
	if len(s.due) > 0 {
		s.wakeWorker()
	}
	s.changed.Broadcast()
}

// close ends the workers, and waits for them but for those that were left behind. Every engine has
// ended before.
func (s *slots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
	for s.workers > s.leftBehind {
		s.changed.Wait()
	}
}

// deleteFirst removes the first element, and moves nothing.
func deleteFirst[T any](list []T) []T {
	clear(list[:1])
	return list[1:]
}
