package protocol

import (
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// AnswerKind is what the bus is told about a delivery.
type AnswerKind uint8

const (
	// None: nothing is sent, because the delivery may be somebody else's by now.
	None AnswerKind = iota
	// Ack: the group is done with it.
	Ack
	// Nak: deliver it again after Answer.After.
	Nak
	// Progress: it is being worked on.
	Progress
)

// Outcome is how a delivery ended, as observers and logs have it.
type Outcome uint8

const (
	// Handled: the handler succeeded, and the mark is stored.
	Handled Outcome = iota
	// Duplicate: it was done before, or lies below the watermark.
	Duplicate
	// Skipped: it is no event of this group.
	Skipped
	// Failed: the run failed, and will be repeated.
	Failed
	// Snoozed: the handler asked to be run later.
	Snoozed
	// Deferred: the run met trouble that may not be the event's own, and was no attempt.
	Deferred
	// Dead: the dead letter is stored.
	Dead
	// DeadLetterPending: the dead letter could not be stored; the event comes back for that.
	DeadLetterPending
	// Held: another copy is being worked on, or it is not due yet.
	Held
	// GivenBack: it never ran.
	GivenBack
	// Lost: another owner has it.
	Lost
	// Unresolved: it is not known whether its transaction was committed. Its claim is left to its
	// lease, and the mark tells who comes next.
	Unresolved
	// Working is no end: the deadline is being extended.
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

	elsewhere    bool      // the event is another owner's, or here under another delivery: it is not expected back
	heldUntil    time.Time // for so long the store answers Held because of this process itself
	mayHoldClaim bool      // the row may be claimed by this process, which does not know how that ended
}

// Answers takes what the bus is to be told now. None of it is repeated: what gets lost costs
// another delivery.
func (m *Machine) Answers() []Answer {
	out := m.answers
	m.answers = nil
	return out
}

// answerDelivery ends a delivery, or extends it. What is stale is told nothing but an ack: it may be
// another's delivery by now. What is orphaned is told nothing at all: it may be another event.
func (m *Machine) answerDelivery(now time.Time, j *Job, a *deliveryCopy, ans Answer) {
	done := ans.Kind == Ack
	if a.cursorGone || (ans.Kind == Nak && a.maybeForeign(now)) {
		ans.Kind = None
	}
	ans.Delivery, ans.Job = a.Delivery, j
	m.answers = append(m.answers, ans)
	if ans.Kind == Progress {
		return
	}
	m.heldBytes -= a.memorySize()
	m.stats.countOutcome(ans.Outcome)
	switch {
	case !done:
		m.expectRedelivery(now, a, &ans)
	case ans.Kind == Ack:
		m.progress.recordSettled(a.Delivery.At)
		fallthrough
	default:
		m.finishedLately.addOne(now)
		delete(m.setbacks, a.Key)
		if r := m.expected.byPlace[placeOf(a.Delivery.At)]; r != nil {
			m.clearRedelivery(r) // nacked before by another delivery from there
		}
	}
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

// finishJob ends a job: its copies get the answer, others of its key and order go ahead.
func (m *Machine) finishJob(now time.Time, j *Job, ans Answer) {
	others := m.splitByPayload(j)
	m.removeJob(now, j)
	m.answerCopies(now, j, ans)
	m.admitAgain(now, j, others)
}

// lose ends a job whose claim is another's.
func (m *Machine) lose(now time.Time, j *Job) {
	m.disownJob(now, j, Answer{Outcome: Lost, elsewhere: true})
}

// latestLeaseEnd is when a job's lease that was asked for until now is over in the store at the latest.
func (m *Machine) latestLeaseEnd(now time.Time, j *Job) time.Time {
	end := now.Add(m.cfg.Lease)
	if j.leaseExpires.After(end) {
		end = j.leaseExpires
	}
	return end.Add(m.cfg.Lease / 100)
}

// unresolved ends a job of which only the store knows how it ended.
func (m *Machine) unresolved(now time.Time, j *Job) {
	m.disownJob(now, j, Answer{Outcome: Unresolved, heldUntil: m.latestLeaseEnd(now, j), mayHoldClaim: true})
}

// disownJob ends a job whose delivery is told nothing; copies that are still ours try again.
func (m *Machine) disownJob(now time.Time, j *Job, ans Answer) {
	first, others := &j.copies[0], slices.Clone(j.copies[1:])
	m.waitingCount -= len(others)
	j.copies = j.copies[:1]
	m.removeJob(now, j)
	m.answerDelivery(now, j, first, ans)
	m.admitAgain(now, j, others)
}

// admitAgain takes in again what waited for a job, and is not settled by its end; only then do later
// events of its order go ahead.
func (m *Machine) admitAgain(now time.Time, j *Job, others []deliveryCopy) {
	for _, a := range others {
		m.admitCopy(now, a)
	}
	m.leaveKeyQueue(now, j)
}

func (m *Machine) answerCopies(now time.Time, j *Job, ans Answer) {
	for i := range j.copies {
		if i > 0 && ans.Outcome == Handled {
			ans.Outcome = Duplicate
		}
		m.answerDelivery(now, j, &j.copies[i], ans)
	}
	m.waitingCount -= len(j.copies) - 1
	j.copies = j.copies[:1]
}

// splitByPayload takes the copies with another payload out of a job.
func (m *Machine) splitByPayload(j *Job) (others []deliveryCopy) {
	if len(j.copies) == 1 {
		return nil
	}
	kept := j.copies[:1]
	for _, a := range j.copies[1:] {
		if j.hasPayloadOf(&a) {
			kept = append(kept, a)
		} else {
			others = append(others, a)
		}
	}
	j.copies = kept
	m.waitingCount -= len(others)
	return others
}

// removeJob forgets a job, unless its handler has not returned: its key must not run twice here.
func (m *Machine) removeJob(now time.Time, j *Job) {
	if j.stuck {
		m.endExposure(j)
		m.enterPhase(now, j, leaked)
	} else {
		m.drop(j)
	}
}

// drop forgets a job.
func (m *Machine) drop(j *Job) {
	m.endExposure(j)
	m.stopWaiting(j)
	m.leavePhase(j)
	j.phase = ended
	if m.jobs[j.key] == j {
		delete(m.jobs, j.key)
	}
	m.roster.remove(j)
}
