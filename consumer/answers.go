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

// AnswerObserver is found by assertion on Options.Observer. ObserveAnswer is called after the
// Observe of a delivery, by the same goroutine and before the next Observe, once the ack or nak was
// handed to the bus. It must not block. A nil err says that the connection has the answer, not that
// the server has: no bus confirms answers. With another err the answer was not sent, and the event
// will be redelivered. What is left unanswered, because it may be another process's by now, is not
// observed.
type AnswerObserver interface {
	ObserveAnswer(at bus.Position, err error)
}

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
	var receiver receiverReport
	var logChange func(*slog.Logger)
	receiverLog := e.o.Logger.With("topic", e.topic, "group", e.group)
	for e.awaitWork(answerLoop, func(m *protocol.Machine, now time.Time) bool {
		as = m.Answers()
		logChange = receiver.noteChange(m, now, e.o.Concurrency)
		e.answering = len(as) > 0
		return e.answering || logChange != nil
	}) {
		if logChange != nil {
			logChange(receiverLog)
		}
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
	case protocol.ExtendAckWait:
		err = a.Delivery.Extend(e.calls)
	case protocol.None:
	}
	if o, ok := e.o.Observer.(AnswerObserver); ok && (a.Kind == protocol.Ack || a.Kind == protocol.Nak) {
		o.ObserveAnswer(a.Delivery.At, err)
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
	default: // they are as they should be, or logged elsewhere
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

// receiverReport is what was logged last of what the protocol makes of the receiver: whether it can
// be reached, and whether it throttles.
type receiverReport struct {
	downSince time.Time // zero: it can be reached
	slow      bool
}

// noteChange returns what logs that the receiver becomes unavailable or begins to throttle, or that
// this is over; nil if nothing has changed since the last call.
func (r *receiverReport) noteChange(m *protocol.Machine, now time.Time, concurrency int) func(*slog.Logger) {
	since, reason, down := m.Unavailable()
	allowed, wasDown := m.Allowed(), !r.downSince.IsZero()
	switch {
	case down && !wasDown:
		r.downSince = since
		return func(log *slog.Logger) {
			log.Error("the receiver is unavailable: one event at a time is tried as a probe, and no attempts are counted", "error", reason)
		}
	case !down && wasDown:
		after := now.Sub(r.downSince).Round(time.Second)
		r.downSince, r.slow = time.Time{}, true // it speeds up from one at a time
		return func(log *slog.Logger) { log.Info("the receiver is available again", "after", after) }
	case !down && !r.slow && reason != "" && allowed < concurrency && allowed <= concurrency/4:
		r.slow = true
		return func(log *slog.Logger) {
			log.Warn("throttled: fewer handlers are started", "at_once", allowed, "concurrency", concurrency, "error", reason)
		}
	case r.slow && allowed == concurrency:
		r.slow = false
		return func(log *slog.Logger) {
			log.Info("throttled no more: all handlers are started", "concurrency", concurrency)
		}
	}
	return nil
}
