package protocol

import (
	"errors"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// settleClaim ends a claim: the store is to be told how.
func (m *Machine) settleClaim(now time.Time, j *Job, e claimEnding) {
	if j.phase == ready {
		m.removeReady(j)
	}
	j.ending, j.settlementSent = e, false
	m.jobs.enterPhase(now, j, settling)
	m.settles.push(j)
}

func (m *Machine) removeReady(j *Job) {
	m.ready = slices.DeleteFunc(m.ready, func(r *Job) bool { return r == j })
}

// releaseClaim ends a claim whose event did not run, or whose run counts nothing. The event stays
// away as long as a held copy, so that a pull which is still open does not get it again at once.
func (m *Machine) releaseClaim(now time.Time, j *Job) {
	m.settleClaim(now, j, claimEnding{outcome: dedupe.NotBegun, after: shortBackoff(j.arrivalCount())})
	j.verdict = Verdict{}
}

// postponeJob gives a claim back until suspects are settled, or until another event may start. The
// delivery stays here and is claimed again, unless that takes too long.
func (m *Machine) postponeJob(now time.Time, j *Job) {
	j.claimAgain = now.Sub(j.createdAt) < m.cfg.maxSlotWait()
	if j.claimAgain {
		m.settleClaim(now, j, claimEnding{outcome: dedupe.NotBegun})
	} else {
		m.releaseClaim(now, j)
	}
}

// requeuePostponed has a postponed job claimed again.
func (m *Machine) requeuePostponed(now time.Time, j *Job) {
	j.claimAgain, j.nonce = false, ""
	m.jobs.setSuspect(j, false)
	if j.claim.Crashes < 2 {
		m.queueClaim(now, j)
		return
	}
	m.jobs.enterPhase(now, j, queued)
	m.quarantine.soloQueue = append(m.quarantine.soloQueue, j)
}

// Settlements takes the claims that ended. They accumulate while a call is under way, and go
// together in the next one: a group commit without a timer, and without waiting when there is
// nothing to wait for.
func (m *Machine) Settlements(now time.Time) Batch[dedupe.Settlement] {
	return newBatch(now, m.settles.takeBatch(now, nil), func(j *Job) dedupe.Settlement {
		j.settlementSent = true
		return dedupe.Settlement{
			Claim: j.claim, Outcome: j.ending.outcome, After: j.ending.after, Reason: j.ending.reason, Letter: j.ending.letter,
			CountAttempt: j.ending.counted, Lease: m.cfg.Lease, TTL: m.cfg.TTL,
		}
	})
}

// Settled takes the answer to a batch of settlements. What failed is repeated: a known success is
// never forgotten.
func (m *Machine) Settled(now time.Time, b Batch[dedupe.Settlement], errs []error, err error) {
	m.settles.recordCall(now, b.sent, b.jobs, err)
	if err != nil {
		return
	}
	for i, j := range b.jobs {
		switch {
		case errors.Is(errs[i], dedupe.ErrSuperseded):
			m.settles.clearRefusal(j)
			m.disownJob(now, j, Lost)
		case errs[i] != nil:
			m.settles.retryJob(now, j, errs[i])
		default:
			m.settles.clearRefusal(j)
			m.settlementStored(now, j, b.sent)
		}
	}
}

// settlementStored goes on after the store has taken a settlement.
func (m *Machine) settlementStored(now time.Time, j *Job, sent time.Time) {
	m.endExposure(j)
	switch j.ending.outcome {
	case dedupe.Succeeded:
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: Handled})
	case dedupe.DeadLettered:
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: Dead})
	case dedupe.GivenUp:
		if j.ending.counted {
			j.claim.Attempts++
			j.attemptCounted = true
		}
		j.claim.State, j.claim.Reason, j.claim.Letter = dedupe.DeadLettering, j.ending.reason, j.ending.letter
		j.leasedAt, j.leaseExpires = sent, sent.Add(m.cfg.Lease)
		m.queueLetter(now, j)
	case dedupe.Failed, dedupe.NotBegun:
		if j.claimAgain && !m.isHalted() {
			m.requeuePostponed(now, j)
			return
		}
		m.finishJob(now, j, Answer{
			Kind: Nak, After: j.ending.after, Outcome: j.releasedOutcome(),
			heldUntil: now.Add(j.ending.after + j.ending.after/100),
		})
	}
}

// endExposure notes that a job which had started is settled, or is not this process's any more.
func (m *Machine) endExposure(j *Job) {
	if j.exposed {
		j.exposed = false
		m.exposed--
	}
}

// releasedOutcome is the outcome of a claim that was set free.
func (j *Job) releasedOutcome() Outcome {
	switch {
	case j.ending.outcome == dedupe.Failed:
		return Failed
	case j.verdict.Kind != Success && errors.Is(j.cancelled, ErrLeaseLost):
		// Others may have run it meanwhile.
		return Lost
	case j.verdict.Kind == Snooze:
		return Snoozed
	case j.verdict.Kind == Throttled, j.verdict.Kind == Unavailable:
		return Deferred
	}
	return GivenBack
}

// finishJob ends a job. Its copies get the answer; those with another payload are admitted again,
// and the next event of its order key starts.
func (m *Machine) finishJob(now time.Time, j *Job, ans Answer) {
	others := m.splitByPayload(j)
	m.removeJob(now, j)
	for i := range j.copies {
		if i > 0 && ans.Outcome == Handled {
			ans.Outcome = Duplicate
		}
		m.answerDelivery(now, j, &j.copies[i], ans)
	}
	m.extraCopies -= len(j.copies) - 1
	j.copies = j.copies[:1]
	m.admitAgain(now, j, others)
}

// disownJob ends a job whose claim is another's (Lost), or of which only the store knows how it
// ended (Unresolved). A consumer that may have lost a delivery must not settle it. The copies that
// waited are admitted again.
func (m *Machine) disownJob(now time.Time, j *Job, o Outcome) {
	ans := Answer{Outcome: o, elsewhere: o == Lost}
	if o == Unresolved {
		ans.heldUntil, ans.mayHoldClaim = m.latestLeaseEnd(now, j), true
	}
	first, others := &j.copies[0], slices.Clone(j.copies[1:])
	m.extraCopies -= len(others)
	j.copies = j.copies[:1]
	m.removeJob(now, j)
	m.answerDelivery(now, j, first, ans)
	m.admitAgain(now, j, others)
}

// latestLeaseEnd is when a lease that was requested until now has ended in the store at the latest.
func (m *Machine) latestLeaseEnd(now time.Time, j *Job) time.Time {
	end := now.Add(m.cfg.Lease)
	if j.leaseExpires.After(end) {
		end = j.leaseExpires
	}
	return end.Add(m.cfg.Lease / 100)
}

// admitAgain admits the copies that waited for a job and are not settled by its end. Only then does
// the next event of its order key start.
func (m *Machine) admitAgain(now time.Time, j *Job, others []deliveryCopy) {
	for _, c := range others {
		m.admitCopy(now, c)
	}
	m.leaveKeyQueue(now, j)
}

// splitByPayload takes the copies with another payload out of a job.
func (m *Machine) splitByPayload(j *Job) (others []deliveryCopy) {
	if len(j.copies) == 1 {
		return nil
	}
	kept := j.copies[:1]
	for _, c := range j.copies[1:] {
		if j.hasPayloadOf(&c) {
			kept = append(kept, c)
		} else {
			others = append(others, c)
		}
	}
	j.copies = kept
	m.extraCopies -= len(others)
	return others
}

// removeJob forgets a job. One whose handler has not returned stays known, as leaked: its key must
// not run twice here.
func (m *Machine) removeJob(now time.Time, j *Job) {
	m.endExposure(j)
	if j.stuck {
		m.jobs.enterPhase(now, j, leaked)
		return
	}
	if q := m.keyQueues[j.order]; q != nil {
		q.waiting.remove(j)
	}
	m.jobs.remove(j)
}

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
	// Handled says that the handler succeeded, and that the mark is stored.
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
// another event.
func (m *Machine) answerDelivery(now time.Time, j *Job, c *deliveryCopy, ans Answer) {
	done := ans.Kind == Ack
	if c.cursorGone || (ans.Kind == Nak && m.maybeForeign(now, c)) {
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
