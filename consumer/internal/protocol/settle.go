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
	return newBatch(now, m.settles.take(now, nil), func(j *Job) dedupe.Settlement {
		j.asked = true
		return dedupe.Settlement{
			Claim: j.claim, Outcome: j.ending.outcome, After: j.ending.after, Reason: j.ending.reason, Letter: j.ending.letter,
			CountAttempt: j.ending.counted, Lease: m.cfg.Lease, TTL: m.cfg.TTL,
		}
	})
}

// Settled takes the answer to a batch of settlements. What failed is repeated: a known success is
// never forgotten.
func (m *Machine) Settled(now time.Time, b Batch[dedupe.Settlement], errs []error, err error) {
	m.settles.answered(now, b.sent, b.jobs, err)
	if err != nil {
		return
	}
	for i, j := range b.jobs {
		switch {
		case errors.Is(errs[i], dedupe.ErrSuperseded):
			m.settles.accept(j)
			m.lose(now, j)
		case errs[i] != nil:
			m.settles.refuse(now, j, errs[i])
		default:
			m.settles.accept(j)
			m.stored(now, j, b.sent)
		}
	}
}

// stored goes on after the store has taken a settlement.
func (m *Machine) stored(now time.Time, j *Job, sent time.Time) {
	m.unexpose(j)
	switch j.ending.outcome {
	case dedupe.Succeeded:
		m.conclude(now, j, Answer{Kind: Ack, Outcome: Handled})
	case dedupe.DeadLettered:
		m.conclude(now, j, Answer{Kind: Ack, Outcome: Dead})
	case dedupe.GivenUp:
		if j.ending.counted {
			j.claim.Attempts++
			j.counted = true
		}
		j.claim.State, j.claim.Reason, j.claim.Letter = dedupe.DeadLettering, j.ending.reason, j.ending.letter
		j.leased, j.expires = sent, sent.Add(m.cfg.Lease)
		m.bury(now, j)
	case dedupe.Failed, dedupe.NotBegun:
		if j.requeue && !m.halted() {
			m.again(now, j)
			return
		}
		m.conclude(now, j, Answer{
			Kind: Nak, After: j.ending.after, Outcome: j.returned(), heldUntil: now.Add(j.ending.after + j.ending.after/100),
		})
	}
}

// returned is the outcome of a claim that was set free.
func (j *Job) returned() Outcome {
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
