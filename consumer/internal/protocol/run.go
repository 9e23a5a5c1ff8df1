package protocol

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

var (
	// ErrLeaseLost is the cause of a run whose claim is over or superseded.
	ErrLeaseLost = errors.New("lease lost: the claim is over, or another process has it")
	// ErrRunLimit is the cause of a run that took longer than Config.RunLimit.
	ErrRunLimit = errors.New("run limit reached")
	// ErrNotStarted is the cause of a wait (gate, limit) that was ended before its handler ran.
	ErrNotStarted = errors.New("start called off: paused, draining, waited for too long, or another event goes first")
)

// Next takes a claimed job that has a slot now; nil if there is none. The driver waits for gate and
// limit, and calls Begin or Abandon.
func (m *Machine) Next(now time.Time) *Job {
	i := m.nextReady(now)
	if i < 0 {
		return nil
	}
	j := m.ready[i]
	m.ready = deleteAt(m.ready, i)
	j.cancelled = nil
	m.jobs.enterPhase(now, j, starting)
	return j
}

// nextReady is the index in ready of the job that may have a slot now, or -1.
func (m *Machine) nextReady(now time.Time) int {
	if len(m.ready) == 0 || m.isHalted() || m.ownershipOver(now) || m.idleSlots() <= 0 || (m.quarantine.isActive() && !m.quarantine.isIsolated()) {
		return -1
	}
	return slices.IndexFunc(m.ready, func(j *Job) bool { return m.leaseFits(now, j) })
}

// leaseFits reports whether enough of the lease is left to start a run. In a transaction, a renewal
// that is under way would wait for its lock, and others with it.
func (m *Machine) leaseFits(now time.Time, j *Job) bool {
	return j.leaseExpires.Sub(now) >= m.cfg.minLeaseToStart() && (!j.renewing || !m.cfg.isTransactional())
}

// Begin reports whether the handler may run. It is called last, right before the handler. If it
// reports false, the Machine has taken the job back.
func (m *Machine) Begin(now time.Time, j *Job) bool {
	switch {
	case j.superseded || m.isHalted() || m.ownershipOver(now) || j.cancelled != nil:
		m.Abandon(now, j, 0)
		return false
	case !m.leaseFits(now, j):
		m.jobs.enterPhase(now, j, ready)
		m.ready = append(m.ready, j)
		return false
	}
	if m.cfg.isTransactional() { // its transaction renews the claim before it locks the row
		j.leasedAt, j.leaseExpires = now, now.Add(m.cfg.RunLimit+m.cfg.Commit)
	}
	if m.pace.oneAtATime() {
		m.pace.scheduleNext(now, m.cfg.Rand())
	}
	m.jobs.enterPhase(now, j, running)
	j.provenAtStart, j.beganAfterShuts = m.pace.provenAt, m.shuts
	j.exposed = true
	m.exposed++
	return true
}

// Abandon takes back a job that gate or limit did not let through. It is redelivered after that
// time, or later; at once, more or less, if there is nothing to wait for but a pause.
func (m *Machine) Abandon(now time.Time, j *Job, after time.Duration) {
	switch {
	case j.superseded:
		m.disownJob(now, j, Lost)
	case (m.quarantine.isActive() || m.pace.oneAtATime()) && !m.isHalted() && !m.ownershipOver(now):
		m.postponeJob(now, j)
	default:
		m.releaseClaim(now, j)
		j.ending.after = max(j.ending.after, min(after, maxEvictedDelay))
	}
}

// Ran takes the end of a run.
func (m *Machine) Ran(now time.Time, j *Job, v Verdict) {
	if j.beganAfterShuts < m.shuts {
		m.runsBeforeShut--
	}
	if j.stuck { // counted at the run limit
		j.stuck = false
		m.stuck--
		if j.phase == leaked {
			m.removeJob(now, j)
		}
		return
	}
	j.verdict, j.took, j.hasRun = v, now.Sub(j.phaseSince), true
	j.verdict.Overran = errors.Is(j.cancelled, ErrRunLimit)
	if v.Kind == Success {
		m.pace.recordSuccess(j.phaseSince)
	}
	switch {
	case v.Kind == Success && m.cfg.isTransactional():
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: Handled})
	case j.superseded || v.Kind == Superseded:
		m.disownJob(now, j, Lost)
	case v.Kind == Unknown:
		m.disownJob(now, j, Unresolved)
	case v.Kind == Success:
		m.settleClaim(now, j, claimEnding{outcome: dedupe.Succeeded})
	case v.Kind == NotBegun:
		m.releaseClaim(now, j)
	case j.cancelled != nil && !errors.Is(j.cancelled, ErrRunLimit):
		attempt := m.failedAttempt(now, j)
		m.releaseClaim(now, j)
		j.ending.attempt = attempt
		if isLoss(j.cancelled) {
			j.verdict = v // for the report
		}
	default:
		m.handleFailure(now, j)
	}
}

// countOverrun counts a run that did not return at its limit. Its slot stays taken until it does.
func (m *Machine) countOverrun(now time.Time, j *Job) {
	j.verdict = Verdict{Kind: Failure, Err: ErrRunLimit, Overran: true, Error: fmt.Sprintf(
		"the handler did not return %v after its run limit of %v: make it end with its context", m.cfg.returnGrace(), m.cfg.RunLimit)}
	j.took, j.hasRun = now.Sub(j.phaseSince), true
	j.stuck = true
	m.stuck++
	switch {
	case j.superseded:
		m.disownJob(now, j, Lost)
	case m.cfg.isTransactional():
		// It locks its row until the server ends it: a settlement would wait for that.
		m.disownJob(now, j, Unresolved)
	default:
		m.handleFailure(now, j)
	}
}

// Cancel asks the driver to end a job's context with the cause.
type Cancel struct {
	Job   *Job
	Cause error
}

// Cancels takes the contexts that are to be ended.
func (m *Machine) Cancels() []Cancel {
	out := m.cancels
	m.cancels = nil
	return out
}

func (m *Machine) cancelJob(j *Job, cause error) {
	if j.cancelled == nil {
		j.cancelled = cause
		m.cancels = append(m.cancels, Cancel{Job: j, Cause: cause})
	}
}

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
	j.ending.attempt = m.failedAttempt(now, j)
}

// failedAttempt describes the run that has just ended for the history of its event; nil of a
// snooze, which is no failure. One that counts as no attempt is in it as well: it explains a delay.
func (m *Machine) failedAttempt(now time.Time, j *Job) *dedupe.Attempt {
	if j.verdict.Kind == Snooze {
		return nil
	}
	return &dedupe.Attempt{
		Number: j.Attempt(), Ended: now, Took: j.took, Process: m.cfg.Process,
		Token: j.claim.Token, Sequence: j.position().Sequence, Error: j.verdict.Error,
	}
}

// attributeFailure decides whose fault a failed run is, and how fast others may start now.
func (m *Machine) attributeFailure(now time.Time, j *Job) {
	v, gap := &j.verdict, m.pace.gap
	began := now.Add(-j.took)
	switch v.Kind {
	case Throttled:
		m.pace.recordThrottled(now, began, v.Error)
		m.pace.setbacks.of(now, j.key).inARow++
	case Unavailable:
		m.pace.recordUnavailable(now, began, j.key, v.Error, m.atMostOneActive())
		m.pace.blameEvent(now, j)
	case Failure, Permanent:
		if !v.Overran {
			m.pace.recordReached(began)
		}
	default: // it says nothing of the receiver
	}
	if gap == m.pace.gap || !m.pace.oneAtATime() {
		return
	}
	m.pace.scheduleNext(now, m.cfg.Rand())
	if gap == 0 {
		m.postponeClaimed(now)
	}
}

// atMostOneActive reports whether at most one event runs, or could run now.
func (m *Machine) atMostOneActive() bool {
	n := 0
	for p := queued; p <= running; p++ {
		n += m.jobs.count[p]
	}
	return n <= 1
}

func (m *Machine) busySlots() int {
	return m.jobs.count[starting] + m.jobs.count[running] + m.stuck
}

// idleSlots is how many events could start now.
func (m *Machine) idleSlots() int {
	slots := m.allowedRuns()
	if m.pace.oneAtATime() { // beside what began before
		slots = min(m.busySlots()+1, m.cfg.Concurrency)
		if m.capacity >= 0 {
			slots = min(slots, m.capacity+m.runsBeforeShut)
		}
	}
	return min(slots-m.busySlots(), m.cfg.MaxUnmarked-m.exposed-m.jobs.count[starting])
}

// Halted reports whether nothing may begin: paused, draining, or a gate is shut.
func (m *Machine) Halted() bool { return m.isHalted() }

// Begun is how many runs have begun, or are about to: those that wait for gate and limit. Handlers
// that did not return at the run limit are none of them.
func (m *Machine) Begun() int { return m.jobs.count[starting] + m.jobs.count[running] }

// MayBeginMore reports whether another run may begin before one of those that have begun ends. It
// takes no notice of what is not marked yet, for that is over soon.
func (m *Machine) MayBeginMore() bool {
	if m.isHalted() || m.pace.oneAtATime() || m.allowedRuns() <= m.busySlots() {
		return false
	}
	claimed := m.jobs.count[claiming] + m.jobs.count[ready]
	switch {
	case m.quarantine.isActive(): // only other suspects, once everything else has ended
		return claimed > 0 && m.quarantine.isIsolated()
	case len(m.quarantine.soloQueue) > 0:
		return claimed > 0
	}
	return true
}

// SequenceOf returns the sequence of the event that runs under a key; 0 if none does.
func (m *Machine) SequenceOf(key dedupe.Key) uint64 {
	if j := m.jobs.byKey[key]; j != nil {
		return j.position().Sequence
	}
	return 0
}
