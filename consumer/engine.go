package consumer

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// engine drives the protocol's Machine on one cursor: one goroutine per kind of call takes what has
// accumulated, makes the call without the lock, and brings the answer back. Handlers run in the
// slots of the subscription.
type engine struct {
	*common
	o          *Options         // the subscription's, with the ack wait of this cursor
	topic      string           // of the cursor
	base       context.Context  //nolint:containedctx // of handlers
	ownedUntil func() time.Time // until when nobody else reads the cursor; nil: others may
	cursor     *cursor.Cursor
	batches    *batchCollector
	letters    letterPublisher
	tickEvery  time.Duration
	rebuilt    time.Time // when the loop that fetches has made the cursor again last

	lost    atomic.Bool // the partition is, or may be, another process's
	offered atomic.Bool // it is among those that the slots serve next

	mu          sync.Mutex // guards what follows, and is never held during a call
	machine     *protocol.Machine
	cond        [loops]sync.Cond
	workers     int  // that serve it now
	reserved    int  // of slots.unmarked
	slotShare   int  // how many may run at once, as the slots say; negative: they do not
	gatesAllow  int  // how many may run at once, as the gates say; negative: they do not
	answering   bool // answers are being sent
	closed      bool
	left        bool  // closed, and whoever serves it still is left behind
	endedBy     error // what ended the engine, if it was not asked to end
	busClosed   bool  // for good
	storeClosed bool  // for good

	paused        bool // by PauseBy
	draining      bool
	drainHopeless chan struct{} // closed once drainIsHopeless, and nil from then on

	calls      context.Context //nolint:containedctx // of all calls; ends with the engine
	stopCalls  context.CancelFunc
	fetching   context.Context //nolint:containedctx // of calls that fetch
	stopFetch  context.CancelFunc
	halt       context.CancelFunc // begins to drain the engine
	halted     <-chan struct{}    // closed by halt
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
	endLoop // whoever waits for the workers to leave
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
}

// stepMachine calls f on the Machine, and wakes the loops that have work then.
func (e *engine) stepMachine(f func(m *protocol.Machine, now time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.enterMachine()
	f(e.machine, now)
	e.wakeLoops(now)
}

// enterMachine returns the time for a step of the Machine, which knows until when it may start
// anything: whoever was frozen learns that first. It is called with the lock held.
func (e *engine) enterMachine() time.Time {
	now := time.Now()
	if e.ownedUntil != nil {
		e.machine.SetOwnedUntil(e.ownedUntil())
	}
	return now
}

// awaitWork blocks until take reports that it has work, or until the engine is closed.
func (e *engine) awaitWork(l loop, take func(m *protocol.Machine, now time.Time) bool) (ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		if take(e.machine, e.enterMachine()) {
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

// owns reports whether nobody else can read the cursor, or all may.
func (e *engine) owns() bool { return e.ownedUntil == nil || time.Now().Before(e.ownedUntil()) }

// noticeLoss gives the partition up for lost if it is to be handed over, and another process may
// own it by now. It is called with the lock held.
func (e *engine) noticeLoss(m *protocol.Machine, now time.Time) {
	if e.ownedUntil == nil || !e.draining || now.Before(e.ownedUntil()) || e.lost.Swap(true) {
		return
	}
	m.Lose(now, ErrPartitionLost)
}

// partitionNumber is the number of the engine's partition.
func (e *engine) partitionNumber() int {
	p, _ := PartitionFrom(e.base)
	return p.Number
}

// wakeLoops wakes the loops that have work. It is called after each step, with the lock held.
func (e *engine) wakeLoops(now time.Time) {
	e.slots.settleAccount(e, now)
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
		e.slots.offer(e)
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
				e.noticeLoss(m, now)
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

// closeLoops ends every loop, and waits for them and for the workers that serve the engine.
// Handlers that do not return are left behind.
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
	e.slots.leaveBehind(e)
	e.mu.Unlock()
	e.running.Wait()
	if e.ownedUntil != nil {
		e.reportForsaken()
	}
}

// reportForsaken reports the claims that are lost with the partition: the next owner takes over
// what has begun and could not be settled in time.
func (e *engine) reportForsaken() {
	e.mu.Lock()
	e.machine.Forsake(time.Now())
	as := e.machine.Answers()
	e.mu.Unlock()
	for i := range as {
		e.sendAnswer(&as[i])
	}
}

// callContext bounds one call: an answer that takes longer than a lease is of no use.
func (e *engine) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.calls, e.o.Lease)
}

// start starts the engine. It is halted when ctx ends, or halt is called.
func (e *engine) start(ctx context.Context) {
	e.calls, e.stopCalls = context.WithCancel(context.WithoutCancel(ctx))
	e.fetching, e.stopFetch = context.WithCancel(e.calls)
	halted, halt := context.WithCancel(ctx)
	e.halted, e.halt = halted.Done(), halt
	e.startLoops()
}

// runToEnd waits until the engine is halted, and ends it in order.
func (e *engine) runToEnd() error {
	<-e.halted
	defer e.halt()
	err := e.drainInOrder()
	e.closeLoops()
	return err
}
