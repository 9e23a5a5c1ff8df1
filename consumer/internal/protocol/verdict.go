package protocol

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// VerdictKind is how a run ended.
type VerdictKind uint8

const (
	// Success says that the effect is made; in a transaction, that it is committed with its mark.
	Success VerdictKind = iota
	// Failure is to be retried.
	Failure
	// Permanent is a failure that a retry would not help.
	Permanent
	// Snooze asks for a later run; this was no attempt.
	Snooze
	// Superseded says of a transaction that the claim is another's, and that nothing was committed.
	Superseded
	// Unknown says of a transaction that it may have been committed or not.
	Unknown
	// NotBegun says of a transaction that the handler did not run.
	NotBegun
	// Conflicted says of a transaction that the server aborted it each time; this was no attempt.
	Conflicted
	// Throttled says that the receiver is there and asks to slow down; this was no attempt.
	Throttled
	// Unavailable is trouble that may be the receiver's or the event's own. Which of them decides
	// whether this was an attempt.
	Unavailable
)

// countsAsAttempt reports whether a run that ended so counts against its event.
func (k VerdictKind) countsAsAttempt() bool {
	return k != Snooze && k != Conflicted && k != Throttled && k != Unavailable
}

// Verdict is what a handler returned.
type Verdict struct {
	Kind VerdictKind
	// Own is what an Unavailable failure is if it is the event's own: Permanent, or else a Failure.
	Own VerdictKind
	// Overran is set where the run limit ended the run, so that it says nothing of the receiver.
	Overran bool
	// After is when to retry, if Timed; else the backoff decides.
	After time.Duration
	Timed bool
	// Error is the handler's error, Stack where it panicked.
	Error, Stack string
	// Err is the error itself, for observers.
	Err error
}

// handleFailure decides whether there is another attempt.
func (m *Machine) handleFailure(now time.Time, j *Job) {
	m.attributeFailure(now, j)
	v := j.verdict
	maxAge := m.maxEventAge(v.Kind)
	left := maxAge - m.eventAge(now, j)
	after := max(0, min(m.retryDelay(j), left))
	counted := v.Kind.countsAsAttempt()
	switch {
	case v.Kind == Permanent:
		m.deadLetterJob(now, j, "permanent: "+v.Error, true)
	case counted && j.Attempt() >= m.cfg.MaxAttempts:
		m.deadLetterJob(now, j, fmt.Sprintf("failed %d times, the last time with: %s", j.Attempt(), v.Error), true)
	case left <= 0:
		m.deadLetterJob(now, j, fmt.Sprintf("too old: not done %v after its first claim: %s", maxAge, v.Error), counted)
	case m.outlivesStream(now.Add(after), j):
		m.deadLetterJob(now, j, fmt.Sprintf("too old: due after the stream's age limit of %v: %s", m.cfg.MaxAge, v.Error), counted)
	case counted:
		m.settleClaim(now, j, claimEnding{outcome: dedupe.Failed, after: after})
	default:
		m.settleClaim(now, j, claimEnding{outcome: dedupe.NotBegun, after: after})
	}
}

// maxEventAge is how old an event may get whose runs end so.
func (m *Machine) maxEventAge(k VerdictKind) time.Duration {
	if k == Throttled || k == Unavailable {
		return min(m.cfg.GiveUp, m.cfg.TTL/2)
	}
	return m.cfg.TTL / 2
}

// eventAge is for how long an event has been waiting to be done, as far as anybody remembers.
func (m *Machine) eventAge(now time.Time, j *Job) time.Duration {
	age := j.claim.Age + now.Sub(j.claimedAt)
	if s := m.setbacks[j.key]; s != nil {
		age = max(age, now.Sub(s.since))
	}
	return age
}

// retryDelay is how long an event waits for its next run. One that conflicted is redelivered soon,
// and not together with the event that it met: a lock is free again in no time, or once its owner's
// lease is over. One that was throttled is redelivered within as much time again as the receiver
// asked for, so that not all such events arrive when that is over.
func (m *Machine) retryDelay(j *Job) time.Duration {
	switch {
	case j.verdict.Kind == Throttled:
		least := j.verdict.After
		if !j.verdict.Timed {
			least = doubledUpTo(m.cfg.Backoff.Base, m.setbacks[j.key].inARow-1, m.cfg.Backoff.Max)
		}
		return least + time.Duration(m.cfg.Rand()*float64(least))
	case j.verdict.Timed:
		return j.verdict.After
	case j.verdict.Kind == Conflicted:
		soon := heldNakDelay(j.arrivalCount())
		return soon/2 + time.Duration(m.cfg.Rand()*float64(soon/2))
	case j.verdict.Kind == Unavailable: // the pace spares the receiver
		return min(m.cfg.Backoff.delayAfter(m.setbacks[j.key].inARow, m.cfg.Rand()), maxGap)
	default:
		return m.cfg.Backoff.delayAfter(j.Attempt(), m.cfg.Rand())
	}
}

// outlivesStream reports whether the stream has dropped the event by then.
func (m *Machine) outlivesStream(then time.Time, j *Job) bool {
	return m.cfg.MaxAge > 0 && m.busTime(then).Sub(j.position().Stored) >= m.cfg.MaxAge
}
