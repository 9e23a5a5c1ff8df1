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

func (m *Machine) cancel(j *Job, cause error) {
	if j.cancelled == nil {
		j.cancelled = cause
		m.cancels = append(m.cancels, Cancel{Job: j, Cause: cause})
	}
}

// Next takes a claimed job that has a slot now; nil if there is none. The driver waits for limit
// and gate, and calls Begin or Abandon.
func (m *Machine) Next(now time.Time) *Job {
	i := m.turn(now)
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
	m.enter(now, j, starting)
	return j
}

// turn is the place in ready of the job that may have a slot now; -1: none may.
func (m *Machine) turn(now time.Time) int {
	if len(m.ready) == 0 || m.halted() || m.idle() <= 0 || (m.quarantined() && !m.isolated()) {
		return -1
	}
	return slices.IndexFunc(m.ready, func(j *Job) bool { return m.fits(now, j) })
}

// fits reports whether enough of the lease is left to start a run. A renewal that is under way
// would wait for the lock of a transaction, and others with it.
func (m *Machine) fits(now time.Time, j *Job) bool {
	return j.expires.Sub(now) >= m.cfg.ahead() && (!j.extending || !m.cfg.transactional())
}

// Begin is asked last, right before the handler: only then may it run. Not ok: the Machine has
// taken the job back.
func (m *Machine) Begin(now time.Time, j *Job) bool {
	switch {
	case j.lost:
		m.lose(now, j)
	case m.halted() || j.cancelled != nil:
		m.sendBack(now, j)
	case !m.fits(now, j):
		m.enter(now, j, ready)
		m.ready = append(m.ready, j)
	default:
		if m.cfg.transactional() { // its transaction renews the claim before it locks the row
			j.leased, j.expires = now, now.Add(m.cfg.RunLimit+m.cfg.Commit)
		}
		if m.pace.spaced() {
			m.pace.wait(now, m.cfg.Rand())
		}
		m.enter(now, j, running)
		j.proven = m.pace.proven
		j.exposed = true
		m.exposed++
		return true
	}
	return false
}

// unexpose notes that a job which had started is settled, or is no business of this
// process any more.
func (m *Machine) unexpose(j *Job) {
	if j.exposed {
		j.exposed = false
		m.exposed--
	}
}

// Abandon takes back a job that limit or gate did not let through.
func (m *Machine) Abandon(now time.Time, j *Job) {
	if j.lost {
		m.lose(now, j)
		return
	}
	m.sendBack(now, j)
}

func (m *Machine) sendBack(now time.Time, j *Job) {
	if (m.quarantined() || m.pace.spaced()) && !m.halted() {
		m.postpone(now, j)
	} else {
		m.giveBack(now, j)
	}
}

// giveBack ends a claim that counts nothing. It stays away as long as a held copy, so that a pull
// which is still out does not get it again at once.
func (m *Machine) giveBack(now time.Time, j *Job) {
	m.settle(now, j, ending{outcome: dedupe.NotBegun, after: heldNak(j.arrivals())})
	j.verdict = Verdict{}
}

// settle has the store told how the claim ended.
func (m *Machine) settle(now time.Time, j *Job, e ending) {
	if j.phase == ready {
		m.unready(j)
	}
	j.ending, j.asked = e, false
	m.enter(now, j, settling)
	m.settles.push(j)
}

func (m *Machine) unready(j *Job) {
	m.ready = slices.DeleteFunc(m.ready, func(r *Job) bool { return r == j })
}
