package protocol

import (
	"errors"
	"slices"
	"time"

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

// releaseClaim ends a claim whose event did not run, or whose run counts nothing. The event
// is redelivered after the same delay as a held copy; otherwise an open pull would get it
// back at once.
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
			CountAttempt: j.ending.counted, Attempt: j.ending.attempt, Lease: m.cfg.Lease, TTL: m.cfg.TTL,
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
		j.claim.History = dedupe.AppendAttempt(j.claim.History, j.ending.attempt)
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

// isLoss reports whether a run was cancelled because another process may have its event.
func isLoss(cause error) bool {
	return errors.Is(cause, ErrLeaseLost) || errors.Is(cause, ErrPartitionLost)
}

// releasedOutcome is the outcome of a claim that was set free.
func (j *Job) releasedOutcome() Outcome {
	switch {
	case j.ending.outcome == dedupe.Failed:
		return Failed
	case j.verdict.Kind != Success && isLoss(j.cancelled):
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
	m.expectRefused(j, &ans)
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
	ans := Answer{Outcome: o, elsewhere: o == Lost && !m.waitsForOthers()}
	first, others := &j.copies[0], slices.Clone(j.copies[1:])
	if o == Unresolved {
		ans.heldUntil, ans.mayHoldClaim = m.latestLeaseEnd(now, j), true
		for i := range others {
			others[i].heldUntil, others[i].mayHoldClaim = ans.heldUntil, true
		}
	}
	m.extraCopies -= len(others)
	j.copies = j.copies[:1]
	m.removeJob(now, j)
	m.expectRefused(j, &ans)
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
