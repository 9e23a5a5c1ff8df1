package consumer

import (
	"log/slog"
	"strings"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

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
	if e.lost.Load() {
		a.Kind = protocol.None // the delivery is another process's
	}
	if e.observers.takeTurns && len(e.observers.deliveries) > 0 {
		e.observers.turn.Lock() // until the answer is observed too
		defer e.observers.turn.Unlock()
	}
	if a.Outcome != protocol.Working {
		if len(e.observers.deliveries) > 0 {
			e.observers.Observe(newObservation(a))
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
	if a.Kind == protocol.Ack || a.Kind == protocol.Nak {
		e.observers.ObserveAnswer(a.Delivery.At, err)
	}
	if err != nil {
		e.o.Logger.Debug("an answer was not sent; the bus will redeliver", "at", a.Delivery.At.Sequence, "error", err)
	}
}

var outcomes = map[protocol.Outcome]Outcome{
	protocol.Handled: OutcomeHandled, protocol.Duplicate: OutcomeDuplicate, protocol.Skipped: OutcomeSkipped, protocol.Failed: OutcomeFailed,
	protocol.Snoozed: OutcomeSnoozed, protocol.Deferred: OutcomeDeferred, protocol.Dead: OutcomeDead,
	protocol.DeadLetterPending: OutcomeDeadLetterPending, protocol.Held: OutcomeHeld, protocol.GivenBack: OutcomeGivenBack,
	protocol.Lost: OutcomeLost, protocol.Unresolved: OutcomeUnresolved,
}

func newObservation(a *protocol.Answer) Observation {
	o := Observation{Outcome: outcomes[a.Outcome], At: a.Delivery.At}
	if a.Job != nil {
		o.Key = a.Job.Key()
		o.Err = a.Job.Verdict().Err
		if took, ran := a.Job.Took(); ran {
			o.Took, o.Attempt = took, a.Job.Attempt()
		}
		if a.Outcome == protocol.Dead {
			o.Reason = reasonClass(a.Job.DeadLetterReason())
		}
	}
	return o
}

// reasonClass is what the reasons of letters begin with that were given up for the same kind of
// reason. There are few classes.
func reasonClass(reason string) string {
	class, _, found := strings.Cut(reason, ":")
	switch {
	case strings.HasPrefix(class, "failed "): // how often
		return "failed"
	case !found || len(class) > maxReasonClass:
		return "other"
	}
	return class
}

// maxReasonClass is longer than every class.
const maxReasonClass = 32

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
