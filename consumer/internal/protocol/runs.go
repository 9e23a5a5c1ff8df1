package protocol

import (
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Cancel asks the driver to end a job's context, with the cause.
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

// Next takes a claimed job that has a slot now; nil if there is none. The driver waits for limit
// and gate, and calls Begin or Abandon.
func (m *Machine) Next(now time.Time) *Job {
	i := m.nextReady(now)
	if i < 0 {
		return nil
	}
	j := m.ready[i]
	if i == 0 {
		m.ready[0] = nil
		m.ready = m.ready[1:] // nothing is moved
	} else {
		m.ready = slices.Delete(m.ready, i, i+1)
	}
	j.cancelled = nil
	m.enterPhase(now, j, starting)
	return j
}

// nextReady is the place in ready of the job that may have a slot now; -1: none may.
func (m *Machine) nextReady(now time.Time) int {
	if len(m.ready) == 0 || m.isHalted() || m.idleSlots() <= 0 || (m.inQuarantine() && !m.isIsolated()) {
		return -1
	}
	return slices.IndexFunc(m.ready, func(j *Job) bool { return m.leaseFits(now, j) })
}

// leaseFits reports whether enough of the lease is left to start a run. A renewal that is under way
// would wait for the lock of a transaction, and others with it.
func (m *Machine) leaseFits(now time.Time, j *Job) bool {
	return j.leaseExpires.Sub(now) >= m.cfg.minLeaseToStart() && (!j.renewing || !m.cfg.isTransactional())
}

// Begin is asked last, right before the handler: only then may it run. Not ok: the Machine has
// taken the job back.
func (m *Machine) Begin(now time.Time, j *Job) bool {
	switch {
	case j.superseded:
		m.lose(now, j)
	case m.isHalted() || j.cancelled != nil:
		m.returnUnrun(now, j)
	case !m.leaseFits(now, j):
		m.enterPhase(now, j, ready)
		m.ready = append(m.ready, j)
	default:
		if m.cfg.isTransactional() { // its transaction renews the claim before it locks the row
			j.leasedAt, j.leaseExpires = now, now.Add(m.cfg.RunLimit+m.cfg.Commit)
		}
		if m.pace.oneAtATime() {
			m.pace.scheduleNext(now, m.cfg.Rand())
		}
		m.enterPhase(now, j, running)
		j.provenAtStart = m.pace.provenAt
		j.exposed = true
		m.exposed++
		return true
	}
	return false
}

// endExposure notes that a job which had started is settled, or is no business of this
// process any more.
func (m *Machine) endExposure(j *Job) {
	if j.exposed {
		j.exposed = false
		m.exposed--
	}
}

// Abandon takes back a job that limit or gate did not let through.
func (m *Machine) Abandon(now time.Time, j *Job) {
	if j.superseded {
		m.lose(now, j)
		return
	}
	m.returnUnrun(now, j)
}

func (m *Machine) returnUnrun(now time.Time, j *Job) {
	if (m.inQuarantine() || m.pace.oneAtATime()) && !m.isHalted() {
		m.postponeJob(now, j)
	} else {
		m.releaseClaim(now, j)
	}
}

// releaseClaim ends a claim that counts nothing. It stays away as long as a held copy, so that a pull
// which is still out does not get it again at once.
func (m *Machine) releaseClaim(now time.Time, j *Job) {
	m.settleClaim(now, j, claimEnding{outcome: dedupe.NotBegun, after: heldNakDelay(j.arrivalCount())})
	j.verdict = Verdict{}
}

// settleClaim has the store told how the claim ended.
func (m *Machine) settleClaim(now time.Time, j *Job, e claimEnding) {
	if j.phase == ready {
		m.removeReady(j)
	}
	j.ending, j.settlementSent = e, false
	m.enterPhase(now, j, settling)
	m.settles.push(j)
}

func (m *Machine) removeReady(j *Job) {
	m.ready = slices.DeleteFunc(m.ready, func(r *Job) bool { return r == j })
}
