package protocol

import (
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// VerdictKind is how a run ended.
type VerdictKind uint8

const (
	// Success: the effect is made; in a transaction, it is committed with its mark.
	Success VerdictKind = iota
	// Failure: try again.
	Failure
	// Permanent: trying again will not help.
	Permanent
	// Snooze: try again later; this was no attempt.
	Snooze
	// Superseded, of a transaction: the claim is another's, and nothing was committed.
	Superseded
	// Unknown, of a transaction: whether it was committed.
	Unknown
	// Unbegun, of a transaction: the handler did not run.
	Unbegun
	// Conflicted, of a transaction: the server gave it up each time; this was no attempt.
	Conflicted
	// Throttled: the receiver is there and asks to slow down; this was no attempt.
	Throttled
	// Unavailable: it may be the receiver's trouble or the event's own. Which decides whether this
	// was an attempt.
	Unavailable
)

// attempt reports whether a run that ended so counts against its event.
func (k VerdictKind) attempt() bool {
	return k != Snooze && k != Conflicted && k != Throttled && k != Unavailable
}

// Verdict is what a handler returned.
type Verdict struct {
	Kind VerdictKind
	// Own is what an Unavailable failure is if it is the event's own: Permanent, or else a Failure.
	Own VerdictKind
	// Overran: the run limit ended it, so it says nothing of the receiver.
	Overran bool
	// After is when to try again, if Timed; else the backoff decides.
	After time.Duration
	Timed bool
	// Error is the handler's error, Stack where it panicked.
	Error, Stack string
	// Err is the error itself, for observers.
	Err error
}

// ReasonReused begins the reason of a dead letter whose id was used before for another payload.
const ReasonReused = "id_reused: the id was used before for an event with another payload"

// Ran takes the end of a run.
func (m *Machine) Ran(now time.Time, j *Job, v Verdict) {
	if j.stuck { // counted at the run limit
		j.stuck = false
		m.stuck--
		if j.phase == zombie {
			m.drop(j)
		}
		return
	}
	j.verdict, j.took, j.ran = v, now.Sub(j.since), true
	j.verdict.Overran = errors.Is(j.cancelled, ErrRunLimit)
	if v.Kind == Success {
		m.pace.succeeded(j.since)
	}
	switch {
	case v.Kind == Success && m.cfg.transactional():
		m.conclude(now, j, Answer{Kind: Ack, Outcome: Handled})
	case j.lost || v.Kind == Superseded:
		m.lose(now, j)
	case v.Kind == Unknown:
		m.unresolved(now, j)
	case v.Kind == Success:
		m.settle(now, j, ending{outcome: dedupe.Succeeded})
	case v.Kind == Unbegun:
		m.giveBack(now, j)
	case j.cancelled != nil && !errors.Is(j.cancelled, ErrRunLimit):
		m.giveBack(now, j)
		if errors.Is(j.cancelled, ErrLeaseLost) {
			j.verdict = v // for the report
		}
	default:
		m.failed(now, j)
	}
}

// overran counts a run that did not return at its limit. Its slot stays taken until it does.
func (m *Machine) overran(now time.Time, j *Job) {
	j.verdict = Verdict{Kind: Failure, Err: ErrRunLimit, Overran: true, Error: fmt.Sprintf(
		"the handler did not return %v after its run limit of %v: make it end with its context", m.cfg.grace(), m.cfg.RunLimit)}
	j.took, j.ran = now.Sub(j.since), true
	j.stuck = true
	m.stuck++
	switch {
	case j.lost:
		m.lose(now, j)
	case m.cfg.transactional(): // it locks its row until the server ends it: a settlement would wait for that
		m.unresolved(now, j)
	default:
		m.failed(now, j)
	}
}

// failed decides whether there is another attempt.
func (m *Machine) failed(now time.Time, j *Job) {
	m.attribute(now, j)
	v := j.verdict
	most := m.patience(v.Kind)
	left := most - m.age(now, j)
	after := max(0, min(m.retryDelay(j), left))
	counted := v.Kind.attempt()
	switch {
	case v.Kind == Permanent:
		m.giveUp(now, j, "permanent: "+v.Error, true)
	case counted && j.Attempt() >= m.cfg.MaxAttempts:
		m.giveUp(now, j, fmt.Sprintf("failed %d times, the last time with: %s", j.Attempt(), v.Error), true)
	case left <= 0:
		m.giveUp(now, j, fmt.Sprintf("too old: not done %v after its first claim: %s", most, v.Error), counted)
	case m.outlived(now.Add(after), j):
		m.giveUp(now, j, fmt.Sprintf("too old: due after the stream's age limit of %v: %s", m.cfg.MaxAge, v.Error), counted)
	case counted:
		m.settle(now, j, ending{outcome: dedupe.Failed, after: after})
	default:
		m.settle(now, j, ending{outcome: dedupe.NotBegun, after: after})
	}
}

// patience is how old an event may get that ends its runs so.
func (m *Machine) patience(k VerdictKind) time.Duration {
	if k == Throttled || k == Unavailable {
		return min(m.cfg.GiveUp, m.cfg.TTL/2)
	}
	return m.cfg.TTL / 2
}

// retryDelay is how long the event waits for its next run. Who conflicted comes back soon, and not
// together with whom it met: a lock is free again in no time, or once its owner's lease is over.
// Who was throttled comes back spread over as much time again as the receiver asked for, so that
// not all come at once when that is over.
func (m *Machine) retryDelay(j *Job) time.Duration {
	switch {
	case j.verdict.Kind == Throttled:
		floor := j.verdict.After
		if !j.verdict.Timed {
			floor = doubled(m.cfg.Backoff.Base, m.setbacks[j.key].times-1, m.cfg.Backoff.Max)
		}
		return floor + time.Duration(m.cfg.Rand()*float64(floor))
	case j.verdict.Timed:
		return j.verdict.After
	case j.verdict.Kind == Conflicted:
		soon := heldNak(j.arrivals())
		return soon/2 + time.Duration(m.cfg.Rand()*float64(soon/2))
	case j.verdict.Kind == Unavailable: // the pace spares the receiver
		return min(m.cfg.Backoff.after(m.setbacks[j.key].times, m.cfg.Rand()), mostGap)
	default:
		return m.cfg.Backoff.after(j.Attempt(), m.cfg.Rand())
	}
}

// outlived reports whether the stream has dropped the event by then.
func (m *Machine) outlived(then time.Time, j *Job) bool {
	return m.cfg.MaxAge > 0 && m.busTime(then).Sub(j.at().Stored) >= m.cfg.MaxAge
}

// giveUp begins a burial: first the row says so, then the letter is stored.
func (m *Machine) giveUp(now time.Time, j *Job, reason string, counted bool) {
	m.settle(now, j, ending{outcome: dedupe.GivenUp, reason: dedupe.TrimReason(reason, dedupe.MaxReason), letter: LetterID(m.cfg.Group, j.at()), counted: counted})
}
