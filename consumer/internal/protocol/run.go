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
	// ErrHalted is the cause of a wait (limit, gate) that a pause or a drain ended.
	ErrHalted = errors.New("paused or draining")
)

// Next takes a claimed job that has a slot now; nil if there is none. The driver waits for limit
// and gate, and calls Begin or Abandon.
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
	if len(m.ready) == 0 || m.isHalted() || m.idleSlots() <= 0 || (m.quarantine.isActive() && !m.quarantine.isIsolated()) {
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
	case j.superseded || m.isHalted() || j.cancelled != nil:
		m.Abandon(now, j)
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
	j.provenAtStart = m.pace.provenAt
	j.exposed = true
	m.exposed++
	return true
}

// Abandon takes back a job that limit or gate did not let through.
func (m *Machine) Abandon(now time.Time, j *Job) {
	switch {
	case j.superseded:
		m.disownJob(now, j, Lost)
	case (m.quarantine.isActive() || m.pace.oneAtATime()) && !m.isHalted():
		m.postponeJob(now, j)
	default:
		m.releaseClaim(now, j)
	}
}

// Ran takes the end of a run.
func (m *Machine) Ran(now time.Time, j *Job, v Verdict) {
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
		m.releaseClaim(now, j)
		if errors.Is(j.cancelled, ErrLeaseLost) {
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

// endExposure notes that a job which had started is settled, or is not this process's any more.
func (m *Machine) endExposure(j *Job) {
	if j.exposed {
		j.exposed = false
		m.exposed--
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
