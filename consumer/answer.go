package consumer

import (
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

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
