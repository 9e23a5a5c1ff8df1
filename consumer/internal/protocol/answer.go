package protocol

import (
	"time"

	"github.com/onceish/onceish/bus"
)

// AnswerKind is what the bus is told about a delivery.
type AnswerKind uint8

const (
	// None sends nothing, because the delivery may be another process's by now.
	None AnswerKind = iota
	// Ack says that the group is done with it.
	Ack
	// Nak has it redelivered after Answer.After.
	Nak
	// ExtendAckWait restarts its ack wait.
	ExtendAckWait
)

// Outcome is how a delivery ended, for observers and logs.
type Outcome uint8

const (
	// Handled says that the handler succeeded, and that the mark is stored. It may have been the
	// run of another event (Config.HandledBeside).
	Handled Outcome = iota
	// Duplicate says that the event was done before, or lies below the watermark.
	Duplicate
	// Skipped says that it is no event of this group.
	Skipped
	// Failed says that the run failed and will be repeated.
	Failed
	// Snoozed says that the handler asked for a later run.
	Snoozed
	// Deferred says that the run met trouble that may not be the event's own, and was no attempt.
	Deferred
	// Dead says that the dead letter is stored.
	Dead
	// DeadLetterPending says that the dead letter could not be stored; the event is redelivered for
	// that.
	DeadLetterPending
	// Held says that another copy is being worked on, or that the event is not due yet.
	Held
	// GivenBack says that the event never ran.
	GivenBack
	// Lost says that another owner has the event.
	Lost
	// Unresolved says that nobody knows whether its transaction was committed. Its claim is left to
	// its lease, and the mark shows the next owner what happened.
	Unresolved
	// Working is no end: the ack wait is extended.
	Working
)

// Answer is one thing to tell the bus.
type Answer struct {
	Delivery *bus.Delivery
	Kind     AnswerKind
	After    time.Duration
	Outcome  Outcome
	// Job is nil for what never became one.
	Job *Job

	elsewhere    bool      // another owner or another delivery here has the event
	heldUntil    time.Time // until then the store answers Held because of this process itself
	mayHoldClaim bool      // the row may be claimed by this process
}

// Answers takes what the bus is to be told now. None of it is repeated: what gets lost costs a
// redelivery.
func (m *Machine) Answers() []Answer {
	out := m.answers
	m.answers = nil
	return out
}

// answerDelivery ends a delivery, or extends it. One whose ack wait is over gets an ack or no
// answer, for it may be another process's by now. One whose cursor is gone gets none, for it may be
// another event. So does one of a partition that is lost.
func (m *Machine) answerDelivery(now time.Time, j *Job, c *deliveryCopy, ans Answer) {
	done := ans.Kind == Ack
	if c.cursorGone || m.owned.lost || (ans.Kind == Nak && m.maybeForeign(now, c)) {
		ans.Kind = None
	}
	ans.Delivery, ans.Job = c.Delivery, j
	m.answers = append(m.answers, ans)
	if ans.Kind == ExtendAckWait {
		return
	}
	m.heldBytes -= c.memorySize()
	m.stats.countOutcome(ans.Outcome)
	if done {
		m.recordDone(now, c, ans.Kind == Ack)
	} else {
		m.expectRedelivery(now, c, &ans)
	}
}

// recordDone notes that the group is done with an event, whether or not its delivery is acked.
func (m *Machine) recordDone(now time.Time, c *deliveryCopy, acked bool) {
	if acked {
		m.settled.recordSettled(c.Delivery.At)
	}
	m.fetches.finished.addOne(now)
	delete(m.pace.setbacks, c.Key)
	m.expected.removeAt(c.Delivery.At) // nacked before, by another delivery from there
}

func (s *Stats) countOutcome(o Outcome) {
	switch o {
	case Handled:
		s.Handled++
	case Duplicate:
		s.Duplicates++
	case Skipped:
		s.Skipped++
	case Failed:
		s.Failed++
	case Deferred:
		s.Deferred++
	case Dead:
		s.Dead++
	case Held:
		s.Held++
	case GivenBack, Snoozed, DeadLetterPending:
		s.GivenBack++
	case Lost, Unresolved:
		s.Lost++
	case Working:
	}
}
