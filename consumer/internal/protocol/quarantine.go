package protocol

import (
	"time"
)

// quarantine keeps suspects apart from other events. A claim that nobody settled is a crash: its
// event may be the one that killed its process, or was merely beside it. After one crash an event
// runs only beside other suspects, after two it is the only claim of its process. So a poison
// event takes no innocent one with it.
type quarantine struct {
	jobs           *jobTable
	soloClaimed    bool      // the suspect that is claimed must be the only claim
	soloQueue      []*Job    // queued jobs each of which must be the only claim
	isolatingSince time.Time // since when suspects wait for others to end; zero: they do not
}

// isActive reports whether suspects are claimed. Nothing else is fetched, claimed or begun until
// they are settled.
func (q *quarantine) isActive() bool { return countClaims(&q.jobs.suspects) > 0 }

// isIsolated reports whether no claim is left that a suspect could take with it.
func (q *quarantine) isIsolated() bool {
	claims := countClaims(&q.jobs.count)
	if q.soloClaimed {
		return claims == 1
	}
	return claims == countClaims(&q.jobs.suspects)
}

// mayClaimSolo reports whether a job that must be the only claim can be claimed now.
func (q *quarantine) mayClaimSolo() bool {
	return len(q.soloQueue) > 0 && countClaims(&q.jobs.count) == 0
}

// noteIsolation notes since when suspects wait for others to end.
func (q *quarantine) noteIsolation(now time.Time) {
	switch {
	case !q.isActive() || q.isIsolated():
		q.isolatingSince = time.Time{}
	case q.isolatingSince.IsZero():
		q.isolatingSince = now
	}
}

// admitClaim reports whether a claim may be kept now. That of an innocent event may not while there
// are suspects. That of a suspect may if it is the first, or one of a group that have crashed once.
func (q *quarantine) admitClaim(j *Job) (kept, firstSuspect bool) {
	crashes, first := j.claim.Crashes, !q.isActive()
	if crashes == 0 {
		return first, false
	}
	if !first && (q.soloClaimed || crashes > 1) {
		return false, false
	}
	q.jobs.setSuspect(j, true)
	if first {
		q.soloClaimed = crashes > 1
	}
	return true, first
}

// keepInQuarantine reports whether a claim may be kept, as far as suspects are concerned. The first
// suspect has everything else sent back that is claimed and has not begun.
func (m *Machine) keepInQuarantine(now time.Time, j *Job) bool {
	kept, firstSuspect := m.quarantine.admitClaim(j)
	if firstSuspect {
		m.postponeClaimed(now)
	}
	return kept
}

// Isolating returns how many events still run beside suspects that must be alone, and since when
// nothing else is started for them. runs is 0 if there are none.
func (m *Machine) Isolating() (runs int, since time.Time) {
	if m.quarantine.isolatingSince.IsZero() {
		return 0, since
	}
	return m.jobs.count[running] - m.jobs.suspects[running], m.quarantine.isolatingSince
}

// postponeClaimed sends back what is claimed and has not begun, and keeps its deliveries here for a
// while: what is claimed must not wait for suspects, or for the gap between starts.
func (m *Machine) postponeClaimed(now time.Time) {
	m.jobs.each(func(j *Job) {
		switch j.phase {
		case ready:
			m.postponeJob(now, j)
		case starting:
			m.cancelJob(j, ErrNotStarted)
		default: // no claim yet, or it has begun
		}
	})
}
