package protocol

import (
	"errors"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Settlements takes the claims that ended. They accumulate while a call is under way, and go
// together in the next one: a group commit, without a timer, and without waiting when there is
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
			m.lose(now, j)
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
			Kind: Nak, After: j.ending.after, Outcome: j.releasedOutcome(), heldUntil: now.Add(j.ending.after + j.ending.after/100),
		})
	}
}

// releasedOutcome is the outcome of a claim that was set free.
func (j *Job) releasedOutcome() Outcome {
	switch {
	case j.ending.outcome == dedupe.Failed:
		return Failed
	case j.verdict.Kind != Success && errors.Is(j.cancelled, ErrLeaseLost): // it ran, and others may have run it meanwhile
		return Lost
	case j.verdict.Kind == Snooze:
		return Snoozed
	case j.verdict.Kind == Throttled, j.verdict.Kind == Unavailable:
		return Deferred
	}
	return GivenBack
}
