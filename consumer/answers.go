package consumer

import (
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// Observer is told how each delivery ended. Observe is called by one goroutine at a time, before
// the bus is told, and must not block.
type Observer interface{ Observe(Observation) }

// Observation describes the end of one delivery.
type Observation struct {
	// Outcome is one of "handled", "duplicate", "skipped" (it is no event of this group),
	// "failed", "snoozed", "deferred" (it was throttled, or the receiver was unavailable: no
	// attempt), "dead", "dead_letter_pending" (the dead letter could not be stored yet), "held"
	// (another copy is being worked on, or it is not due), "given back" (it never ran), "lost"
	// (another process has it), "unresolved" (it is not known whether its transaction was
	// committed; the event is redelivered).
	Outcome string
	// At is the position of the event.
	At bus.Position
	// Key is what the store knows the event by. It is zero for what was skipped, and for a
	// duplicate that was recognised by its position alone.
	Key dedupe.Key
	// Attempt is the number of the run; 0 if there was none.
	Attempt int
	// Took is how long the run took.
	Took time.Duration
	// Err is what the handler returned.
	Err error
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

// receiverState is what the protocol made of the latest runs: whether the receiver can be reached,
// and how many handlers may run at once.
type receiverState struct {
	since, now time.Time
	reason     string
	down       bool
	allowed    int

	wasDown, wasSlow bool // as it was reported last
	downSince        time.Time
}

func (r *receiverState) readMachine(m *protocol.Machine, now time.Time) {
	r.since, r.reason, r.down = m.Unavailable()
	r.allowed, r.now = m.Allowed(), now
}

// receiverChange is a change that logChange logs.
type receiverChange int

const (
	receiverUnchanged receiverChange = iota
	receiverUnavailable
	receiverAvailable
	receiverThrottles
	receiverRecovered
)

// changeSinceReport is what has changed since the last report.
func (r *receiverState) changeSinceReport(concurrency int) receiverChange {
	slow := !r.down && r.allowed < concurrency && r.allowed <= concurrency/4
	switch {
	case r.down && !r.wasDown:
		return receiverUnavailable
	case !r.down && r.wasDown:
		return receiverAvailable
	case slow && !r.wasSlow:
		return receiverThrottles
	case r.wasSlow && r.allowed == concurrency:
		return receiverRecovered
	}
	return receiverUnchanged
}

// logChange logs when the receiver becomes unavailable or begins to throttle, and when
// that is over.
func (r *receiverState) logChange(log *slog.Logger, concurrency int) {
	switch r.changeSinceReport(concurrency) {
	case receiverUnchanged:
	case receiverUnavailable:
		r.wasDown, r.downSince = true, r.since
		log.Error("the receiver is unavailable: one event at a time is tried as a probe, and no attempts are counted", "error", r.reason)
	case receiverAvailable:
		r.wasDown, r.wasSlow = false, true // it speeds up from one at a time
		log.Info("the receiver is available again", "after", r.now.Sub(r.downSince).Round(time.Second))
	case receiverThrottles:
		r.wasSlow = true
		log.Warn("throttled: fewer handlers are started", "at_once", r.allowed, "concurrency", concurrency, "error", r.reason)
	case receiverRecovered:
		r.wasSlow = false
		log.Info("throttled no more: all handlers are started", "concurrency", concurrency)
	}
}
