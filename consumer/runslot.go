package consumer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// slotWorker is the goroutine of one slot.
type slotWorker struct {
	slots        *slots
	*engine                      // that it serves; nil: none
	isServing    bool            // it is counted there
	ctx          context.Context //nolint:containedctx // of the job
	cancel       context.CancelCauseFunc
	job          *protocol.Job // nil: there is none
	event        bus.Event     // of the job, like attempt and claimed
	attempt      Attempt
	claimed      dedupe.Claim // as it was when the run began
	gatesToLeave []func(error)
	verdict      protocol.Verdict
	endedJob     *protocol.Job // the last job, reported when the next one is taken
}

// runWorker runs handlers one after the other.
func (s *slots) runWorker() {
	w := slotWorker{slots: s}
	defer w.quitWorker()
	for w.nextJob() {
		w.verdict = verdictOf(errGoexit) // unless the handler returns
		w.verdict = w.runHandler(w.ctx, w.event, w.attempt, w.claimed)
		w.finishRun()
	}
}

// nextJob waits for a job whose handler may run now. It returns false once the slots are closed.
func (w *slotWorker) nextJob() bool {
	for {
		if w.engine == nil && !w.serveNext() {
			return false
		}
		if w.cancel == nil {
			w.ctx, w.cancel = context.WithCancelCause(w.base) //nolint:fatcontext // always from base
		}
		if w.takeJob() && (w.startsAtOnce() || w.passGatesAndLimit()) {
			return true
		}
	}
}

// serveNext waits for an engine that may have something to run.
func (w *slotWorker) serveNext() bool {
	w.engine = w.slots.awaitEngine()
	if w.slots.areShared && w.cancel != nil { // the context is of another engine
		w.cancel(nil)
		w.cancel = nil
	}
	return w.engine != nil
}

// startsAtOnce reports whether there is neither gate nor limit, so that takeJob begins the job.
func (c *common) startsAtOnce() bool { return len(c.options.Gates) == 0 && c.limit == nil }

// takeJob takes a claimed job, and begins it if there is neither gate nor limit. It reports the end
// of the run before to the Machine, and wakes the loops for both. Where there is no job, or other
// engines go first, it leaves the engine and returns false.
func (w *slotWorker) takeJob() bool {
	others := w.endedJob != nil && w.slots.haveOthers()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.isServing {
		if w.left { // it ended while it was due
			w.engine = nil
			return false
		}
		w.workers++
		w.isServing = true
	}
	now := w.enterMachine()
	w.reportEnded(now)
	for !w.closed && !others {
		if !w.slots.reserve(w.engine) {
			break
		}
		j := w.machine.Next(now)
		if j == nil {
			break
		}
		j.Cancel = w.cancel
		if w.startsAtOnce() && !w.machine.Begin(now, j) {
			w.slots.settleAccount(w.engine, now)
			continue
		}
		w.job, w.event = j, *j.Event()
		w.claimed = j.Claim(now)
		w.attempt = Attempt{Number: j.Attempt(), Token: j.Token(), Key: j.Key(), Copied: j.Copied(), Crashes: j.Crashes(), At: j.Position(), Original: j.Original()}
		w.wakeLoops(now)
		return true
	}
	w.wakeLoops(now)
	w.leaveEngine()
	return false
}

// leaveEngine ends serving the engine. It is called with the lock of that held.
func (w *slotWorker) leaveEngine() {
	e := w.engine
	w.engine, w.isServing = nil, false
	e.workers--
	e.cond[endLoop].Signal()
	if e.left {
		w.slots.countReturned(e)
	}
}

// reportEnded reports how the last run ended to the protocol.
func (w *slotWorker) reportEnded(now time.Time) {
	if w.endedJob != nil {
		w.machine.Ran(now, w.endedJob, w.verdict)
		w.endedJob = nil
	}
}

// passGatesAndLimit waits for gates and limit, in this order, and begins the job. It reports
// whether the handler may run. The limit is last, so that what it allows starts then, and not
// bunched behind a gate.
func (w *slotWorker) passGatesAndLimit() bool {
	begun := w.observers.limitClock()
	after, err := w.waitForGatesAndLimit()
	waited := w.observers.limitClock().Sub(begun)
	ok := w.beginOrAbandon(after, err)
	w.observers.observeLimitWait(waited, err != nil, ok)
	if !ok {
		w.leaveGates(context.Canceled)
		w.releaseJob()
	}
	return ok
}

// beginOrAbandon begins the job, unless err says that it may not start. A job that began has had
// its slot before, so it makes no work for the loops.
func (w *slotWorker) beginOrAbandon(after time.Duration, err error) (ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.enterMachine()
	if err != nil {
		w.machine.Abandon(now, w.job, after)
	} else {
		ok = w.machine.Begin(now, w.job)
		w.claimed = w.job.Claim(now)
	}
	if !ok {
		w.wakeLoops(now)
	}
	return ok
}

// waitForGatesAndLimit returns an error if the event may not start now, and after how long to try
// again.
func (w *slotWorker) waitForGatesAndLimit() (after time.Duration, err error) {
	ctx := w.ctx
	if len(w.o.Gates) > 0 {
		ctx = context.WithValue(ctx, attemptKey{}, w.attempt) // for gates that tell events apart
	}
	for _, gate := range w.o.Gates {
		leave, err := gate.Enter(ctx)
		if err != nil {
			return 0, err
		}
		w.gatesToLeave = append(w.gatesToLeave, leave)
	}
	if w.limit != nil {
		return w.limit.wait(w.ctx, w.event)
	}
	return 0, nil
}

// leaveGates leaves the gates that were entered, the last first, with the outcome of the run.
func (w *slotWorker) leaveGates(outcome error) {
	for _, leave := range slices.Backward(w.gatesToLeave) {
		leave(outcome)
	}
	w.gatesToLeave = w.gatesToLeave[:0]
}

// finishRun leaves the gates. The next takeJob reports the end to the Machine (reportEnded), so
// that a run takes the lock once.
func (w *slotWorker) finishRun() {
	w.leaveGates(w.verdict.Err)
	if v := w.verdict; w.limit != nil && v.Kind == protocol.Throttled && v.Timed {
		w.limit.closeKey(w.calls, w.event, v.After)
	}
	w.endedJob = w.job
	w.releaseJob()
}

// releaseJob ends the context of the job.
func (w *slotWorker) releaseJob() {
	w.cancel(nil)
	w.cancel, w.job = nil, nil
}

// quitWorker ends the worker, also after a handler has ended its goroutine.
func (w *slotWorker) quitWorker() {
	if w.job != nil {
		w.finishRun()
	}
	if w.cancel != nil {
		w.cancel(nil)
	}
	if w.engine != nil {
		w.stepMachine(func(_ *protocol.Machine, now time.Time) {
			w.reportEnded(now)
			w.leaveEngine()
		})
	}
	w.slots.workerEnded()
}

// runHandler calls the handler.
func (e *engine) runHandler(ctx context.Context, event bus.Event, a Attempt, c dedupe.Claim) (v protocol.Verdict) {
	a.IdempotencyKey, a.Note = IdempotencyKey(a.Key), c.Note
	if e.noter != nil {
		a.notes = &runNotes{noter: e.noter, claim: c, o: e.o}
	}
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("panic: %v", p)
			v = protocol.Verdict{Kind: protocol.Failure, Err: err, Error: err.Error(), Stack: string(debug.Stack())}
		}
	}()
	if e.transactor != nil {
		return e.runInTransaction(ctx, event, a, c)
	}
	return verdictOf(e.handler(WithAttempt(ctx, a), event))
}

var errGoexit = errors.New("the handler ended its goroutine (runtime.Goexit) instead of returning")

// IdempotencyKey is Attempt.IdempotencyKey for the event of a key: 32 hexadecimal digits, which
// fits every service's limits.
func IdempotencyKey(k dedupe.Key) string {
	text := make([]byte, 0, 256)
	parts := []string{k.Topic, k.Group, k.ID}
	if k.Scope != "" {
		parts = append(parts, k.Scope) // a run on purpose is another one to services that deduplicate
	}
	for _, part := range parts {
		text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:16])
}
