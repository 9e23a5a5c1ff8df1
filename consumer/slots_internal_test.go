package consumer

import (
	"testing"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// newSharedSlots returns slots for several engines, and makes engines for them.
func newSharedSlots(t *testing.T, concurrency int) (s *slots, newEngine func() *engine) {
	t.Helper()
	s = newSlots(&Options{Concurrency: concurrency, MaxUnmarked: concurrency, Order: Partitions(2)})
	c := &common{options: &Options{}, slots: s}
	return s, func() *engine {
		e := &engine{common: c, o: c.options, base: t.Context(), slotShare: -1, gatesAllow: -1}
		e.batches = newBatchCollector(e)
		e.machine = protocol.New(protocol.Config{Concurrency: concurrency, MaxUnmarked: concurrency}, time.Now())
		for i := range e.cond {
			e.cond[i].L = &e.mu
		}
		return e
	}
}

// An engine that ends while it waits for a slot is not waited for when the slots are closed.
func TestEngineThatEndsWhileItIsDueDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	s, newEngine := newSharedSlots(t, 2)
	e := newEngine()
	e.mu.Lock() // the worker waits for it
	s.offer(e)
	e.closed = true
	s.leaveBehind(e)
	e.mu.Unlock()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for e.offered.Load() { // until the worker has taken it
			time.Sleep(time.Millisecond)
		}
		s.close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("the slots are not closed")
	}
	if n := s.handlersLeftBehind(); n != 0 {
		t.Errorf("%d handlers left behind, want none", n)
	}
}

// What runs on when its partition is lost, or handed over after the drain time-out, is not marked:
// until it returns, that many fewer may start in the engines that follow.
func TestHandlersLeftBehindCountAsUnmarked(t *testing.T) {
	t.Parallel()
	s, newEngine := newSharedSlots(t, 4)
	s.closed = true // no worker takes what is due
	old := newEngine()
	for range 4 {
		if !s.reserve(old) {
			t.Fatal("nothing may start")
		}
	}
	old.workers = 2 // of the four two run, and two are finished and were never marked
	s.leaveBehind(old)
	next := newEngine()
	if n := reserveAll(s, next); n != 2 {
		t.Errorf("%d may start beside 2 that were left behind, want 2", n)
	}
	old.mu.Lock()
	s.settleAccount(old, time.Now()) // as the worker does when its handler returns
	(&slotWorker{slots: s, engine: old, isServing: true}).leaveEngine()
	old.mu.Unlock()
	if n := len(s.due); n != 1 || s.unmarked != 3 {
		t.Errorf("%d engines are due with %d unmarked after one has returned, want 1 and 3", n, s.unmarked)
	}
}

// reserveAll reserves as many as may start.
func reserveAll(s *slots, e *engine) (n int) {
	for s.reserve(e) {
		n++
	}
	return n
}

// An idle slot is woken for each engine that is due, or another one is started: none waits for the
// handler of another one.
func TestEnginesThatAreDueAtOnceGetASlotEach(t *testing.T) {
	t.Parallel()
	s, newEngine := newSharedSlots(t, 4)
	s.mu.Lock()
	s.workers, s.idle = 1, 1 // it does not wake up before the lock is free
	s.most = 1
	s.due = append(s.due, newEngine())
	s.wakeWorker()
	s.due = append(s.due, newEngine())
	s.most = 2
	s.wakeWorker()
	workers := s.workers
	s.due, s.closed, s.workers = nil, true, workers-1 // the idle one is none
	s.mu.Unlock()
	if workers != 2 {
		t.Errorf("%d slots for 2 engines, want 2", workers)
	}
	s.close()
}
