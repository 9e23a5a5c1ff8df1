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
	cursor       *cursor.Cursor
	letters      letterPublisher
	tickEvery    time.Duration

	mu          sync.Mutex // guards what follows, and is never held during a call
	machine     *protocol.Machine
	cond        [loops]sync.Cond
	idleWorkers int // waiting for a job
	workers     int
	answering   bool // answers are being sent
	closed      bool
	pausedSince time.Time // zero: not paused
	endedBy     error     // what ended the subscription, if it was not asked to end
	busClosed   bool      // for good
	storeClosed bool      // for good

	draining      bool
	drainHopeless chan struct{} // closed once drainIsHopeless, and nil from then on

	calls      context.Context //nolint:containedctx // of all calls; ends with the subscription
	stopCalls  context.CancelFunc
	drainBegun chan struct{} // closed when draining begins
	drained    chan struct{} // closed once there is nothing left to do, and nil from then on
	failed     chan struct{} // closed once endedBy is set
	running    sync.WaitGroup
}

// loop is a goroutine that does one kind of work.
type loop int

const (
	fetchLoop loop = iota
	claimLoop
	settleLoop
	extendLoop
	letterLoop
	lookupLoop
	answerLoop
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
}

// now is one reading of the clock for a step of the protocol.
func (e *engine) now() time.Time { return time.Now() }

// stepMachine calls f on the Machine, and wakes the loops that have work then.
func (e *engine) stepMachine(f func(m *protocol.Machine, now time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	f(e.machine, now)
	e.wakeLoops(now)
}

// stepCursor is stepMachine for the cursor.
func (e *engine) stepCursor(f func(cursor.Machine, time.Time)) {
	e.stepMachine(func(m *protocol.Machine, now time.Time) { f(m, now) })
}

// awaitWork blocks until take reports that it has work, or until the engine is closed.
func (e *engine) awaitWork(l loop, take func(m *protocol.Machine, now time.Time) bool) (ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		if take(e.machine, e.now()) {
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
		fetchLoop: due.Fetch, claimLoop: due.Claims, settleLoop: due.Settlements, extendLoop: due.Extensions,
		letterLoop: due.Letters, lookupLoop: due.Lookups, answerLoop: due.Answers,
	} {
		if has {
			e.cond[l].Signal()
		}
	}
	if due.Runs {
		e.wakeWorker()
	}
	if due.Cancels {
		for _, c := range e.machine.Cancels() {
			if c.Job.Cancel != nil {
				c.Job.Cancel(c.Cause)
			}
		}
	}
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

// endWith ends the subscription with an error.
func (e *engine) endWith(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.endedBy == nil {
		e.endedBy = err
		close(e.failed)
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
	for e.workers > e.workersInHandlers() {
		e.cond[endLoop].Wait()
	}
	e.mu.Unlock()
	e.running.Wait()
}

// workersInHandlers is how many workers are in a handler.
func (e *engine) workersInHandlers() int { return e.machine.Running() + e.machine.Stuck() }

// callContext bounds one call: an answer that takes longer than a lease is of no use.
func (e *engine) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.calls, e.o.Lease)
}

// answerDeliveries is the loop that tells the bus, the observer and the log how deliveries ended.
func (e *engine) answerDeliveries() {
	var as []protocol.Answer
	var receiver receiverState
	receiverLog := e.o.Logger.With("topic", e.topic, "group", e.group)
	for e.awaitWork(answerLoop, func(m *protocol.Machine, now time.Time) bool {
		as = m.Answers()
		receiver.readMachine(m, now)
		e.answering = len(as) > 0
		return e.answering || receiver.changeSinceReport(e.o.Concurrency) != receiverUnchanged
	}) {
		receiver.logChange(receiverLog, e.o.Concurrency)
		for i := range as {
			e.sendAnswer(&as[i])
		}
		e.stepMachine(func(*protocol.Machine, time.Time) { e.answering = false })
	}
}

func (e *engine) sendAnswer(a *protocol.Answer) {
	if a.Outcome != protocol.Working {
		if e.o.Observer != nil {
			e.o.Observer.Observe(newObservation(a))
		}
		e.logOutcome(a)
	}
	var err error
	switch a.Kind {
	case protocol.Ack:
		err = a.Delivery.Ack(e.calls)
	case protocol.Nak:
		err = a.Delivery.Nak(e.calls, a.After)
	case protocol.Progress:
		err = a.Delivery.Extend(e.calls)
	case protocol.None:
	}
	if err != nil {
		e.o.Logger.Debug("an answer was not sent; the bus will redeliver", "at", a.Delivery.At.Sequence, "error", err)
	}
}

var outcomes = map[protocol.Outcome]string{
	protocol.Handled: "handled", protocol.Duplicate: "duplicate", protocol.Skipped: "skipped", protocol.Failed: "failed",
	protocol.Snoozed: "snoozed", protocol.Deferred: "deferred", protocol.Dead: "dead", protocol.DeadLetterPending: "dead_letter_pending",
	protocol.Held: "held", protocol.GivenBack: "given back", protocol.Lost: "lost",
	protocol.Unresolved: "unresolved",
}

func newObservation(a *protocol.Answer) Observation {
	o := Observation{Outcome: outcomes[a.Outcome], At: a.Delivery.At}
	if a.Job != nil {
		o.Key = a.Job.Key()
		o.Err = a.Job.Verdict().Err
		if took, ran := a.Job.Took(); ran {
			o.Took, o.Attempt = took, a.Job.Attempt()
		}
	}
	return o
}

// logOutcome logs the outcomes that an operator may want to know.
func (e *engine) logOutcome(a *protocol.Answer) {
	switch a.Outcome {
	case protocol.Failed:
		e.o.Logger.Warn("handler failed; event will be retried", "key", a.Job.Key().String(),
			"attempt", a.Job.Attempt(), "after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Deferred:
		e.o.Logger.Debug("event deferred: no attempt is counted, and it will be retried", "key", a.Job.Key().String(),
			"after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Lost:
		e.o.Logger.Warn("claim lost: the event is another claim's by now, its lease could not be renewed in time, or the store has forgotten it",
			"key", a.Job.Key().String(), "effect", effectOfLostRun(a.Job), "error", a.Job.Verdict().Error)
	case protocol.Unresolved:
		e.o.Logger.Error("nobody knows whether a transaction was committed; the event will be redelivered, and its mark decides",
			"key", a.Job.Key().String(), "error", a.Job.Verdict().Error)
	case protocol.Handled, protocol.Duplicate, protocol.Skipped, protocol.Snoozed, protocol.Dead, protocol.DeadLetterPending,
		protocol.Held, protocol.GivenBack, protocol.Working:
	}
}

// effectOfLostRun is the effect of a run whose claim was lost. The next owner may make it again,
// under the same idempotency key.
func effectOfLostRun(j *protocol.Job) string {
	_, ran := j.Took()
	switch v := j.Verdict(); {
	case !ran:
		return "none: the handler did not run"
	case v.Kind == protocol.Success:
		return "made: the handler succeeded"
	case v.Kind == protocol.Superseded:
		return "none: the transaction was not committed"
	}
	return "unknown: the handler failed"
}
