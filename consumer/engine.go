package consumer

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// engine drives the protocol's Machine: one goroutine per kind of call takes what has accumulated,
// makes the call without the lock, and brings the answer back. Handlers run on workers of their
// own.
type engine struct {
	o            *Options
	group, topic string
	handler      Handler
	base         context.Context //nolint:containedctx // the subscriber's, without its cancellation
	bus          bus.Bus
	claimer      dedupe.Claimer
	store        dedupe.Store      // that of the claimer
	transactor   dedupe.Transactor // nil: runs are marked afterwards
	observers    *observers        // whoever of them is told of calls of the store is in what makes these
	cursor       *cursor.Cursor
	limit        *startLimit // nil: there is none
	batches      *batchCollector
	letters      letterPublisher
	owner        string // begins the nonces of claims
	tickEvery    time.Duration

	mu          sync.Mutex // guards what follows, and is never held during a call
	machine     *protocol.Machine
	cond        [loops]sync.Cond
	idleWorkers int // waiting for a job
	workers     int
	answering   bool // answers are being sent
	closed      bool
	pausedBy    []string   // see Subscription.PauseBy
	pauses      [][]string // each pausedBy that is to be observed, the earliest first
	pausedSince time.Time  // zero: not paused
	endedBy     error      // what ended the subscription, if it was not asked to end
	busClosed   bool       // for good
	storeClosed bool       // for good

	draining      bool
	drainHopeless chan struct{} // closed once drainIsHopeless, and nil from then on

	calls      context.Context //nolint:containedctx // of all calls; ends with the subscription
	stopCalls  context.CancelFunc
	stop       context.CancelFunc // begins to drain
	drainBegun chan struct{}      // closed when draining begins
	drained    chan struct{}      // closed once there is nothing left to do, and nil from then on
	running    sync.WaitGroup
}

// loop is a goroutine that does one kind of work.
type loop int

const (
	fetchLoop loop = iota
	claimLoop
	settleLoop
	renewLoop
	letterLoop
	lookupLoop
	answerLoop
	pauseLoop
	runLoop // the workers
	endLoop // whoever waits for the workers to end
	loops
)

func (e *engine) startLoops() {
	for i := range e.cond {
		e.cond[i].L = &e.mu
	}
	for _, f := range []func(){
		e.fetchEvents, e.claimEvents, e.settleClaims, e.renewLeases, e.storeLetters, e.lookUpRedeliveries,
		e.answerDeliveries, e.tickLoop, e.pollWatermark,
	} {
		e.running.Go(f)
	}
	for i, gate := range e.adaptiveGates() {
		e.running.Go(func() { e.followCapacity(i, gate) })
	}
	if len(e.observers.pauses) > 0 {
		e.running.Go(e.observePauses)
	}
}

// stepMachine calls f on the Machine, and wakes the loops that have work then.
func (e *engine) stepMachine(f func(m *protocol.Machine, now time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	f(e.machine, now)
	e.wakeLoops(now)
}

// awaitWork blocks until take reports that it has work, or until the engine is closed.
func (e *engine) awaitWork(l loop, take func(m *protocol.Machine, now time.Time) bool) (ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		if take(e.machine, time.Now()) {
			return true
		}
		e.cond[l].Wait()
		e.yieldToOthers()
	}
	return false
}

// yieldToOthers lets whoever is about to bring more work do so first, so that calls come in
// batches. It does not wait when nobody is.
func (e *engine) yieldToOthers() {
	e.mu.Unlock()
	runtime.Gosched()
	e.mu.Lock()
}

// wakeLoops wakes the loops that have work. It is called after each step, with the lock held.
func (e *engine) wakeLoops(now time.Time) {
	due := e.machine.Due(now)
	for l, has := range [loops]bool{
		fetchLoop: due.Fetch, claimLoop: due.Claims, settleLoop: due.Settlements, renewLoop: due.Renewals,
		letterLoop: due.Letters, lookupLoop: due.Lookups, answerLoop: due.Answers,
	} {
		if has {
			e.cond[l].Signal()
		}
	}
	if due.Runs {
		e.wakeWorker()
	}
	for _, c := range e.machine.Cancels() {
		if c.Job.Cancel != nil {
			c.Job.Cancel(c.Cause)
		}
	}
	e.endBatchesWithLock()
	if e.drained != nil && !e.answering && e.machine.Drained() {
		close(e.drained)
		e.drained = nil
	}
	if e.drainHopeless != nil && e.drainIsHopeless() {
		close(e.drainHopeless)
		e.drainHopeless = nil
	}
}

func (e *engine) wakeWorker() {
	if e.idleWorkers > 0 {
		e.cond[runLoop].Signal()
		return
	}
	if e.workers < e.o.Concurrency {
		e.workers++
		go e.runWorker()
	}
}

func (e *engine) tickLoop() {
	last := e.tickEvery
	ticker := time.NewTicker(last)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			var every time.Duration
			e.stepMachine(func(m *protocol.Machine, now time.Time) {
				m.Tick(now)
				every = m.TickEvery()
				e.cond[answerLoop].Signal() // the receiver may have recovered
			})
			if every != last {
				ticker.Reset(every)
				last = every
			}
		case <-e.calls.Done():
			return
		}
	}
}

// closeLoops ends every loop and every worker, and waits for them. Handlers that do not return
// are left behind.
func (e *engine) closeLoops() {
	e.stopCalls()
	e.mu.Lock()
	e.closed = true
	for i := range e.cond {
		e.cond[i].Broadcast()
	}
	for e.workers > e.machine.Running()+e.machine.Stuck() { // those are in handlers
		e.cond[endLoop].Wait()
	}
	e.mu.Unlock()
	e.running.Wait()
}

// callContext bounds one call: an answer that takes longer than a lease is of no use.
func (e *engine) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.calls, e.o.Lease)
}

// startSubscription runs the engine until ctx ends, Drain is called, or bus or store is closed for
// good.
func startSubscription(ctx context.Context, e *engine) *Subscription {
	e.calls, e.stopCalls = context.WithCancel(context.WithoutCancel(ctx))
	stopped, stop := context.WithCancel(ctx)
	e.stop = stop
	s := &Subscription{engine: e, done: make(chan struct{})}
	e.startLoops()
	go func() {
		defer close(s.done)
		defer stop()
		<-stopped.Done()
		s.err = e.drainInOrder()
		e.closeLoops()
	}()
	return s
}
