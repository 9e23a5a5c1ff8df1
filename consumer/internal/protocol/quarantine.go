package protocol

import (
	"time"

	"github.com/onceish/onceish/dedupe"
)

// A claim that nobody settled is a crash: its event may be the one that killed its process, or it
// was merely beside it. With one crash it runs only beside other suspects; with two it is the
// process's only claim. So a poison event takes no innocent with it.

// inQuarantine: there are suspects in hand. Nothing else is fetched, claimed or begun until
// they are settled.
func (m *Machine) inQuarantine() bool { return countClaims(&m.suspects) > 0 }

// isIsolated: no claim is left, or may be left, that the suspects in hand must not take with them.
func (m *Machine) isIsolated() bool {
	if m.soloSuspect {
		return countClaims(&m.count) == 1
	}
	return countClaims(&m.count) == countClaims(&m.suspects)
}

// Isolating is how many events still run beside suspects that must be alone, and since when nothing
// else is started for them; 0: none.
func (m *Machine) Isolating() (runs int, since time.Time) {
	if m.isolatingSince.IsZero() {
		return 0, since
	}
	return m.count[running] - m.suspects[running], m.isolatingSince
}

// watchSuspects notes since when suspects wait for others to end.
func (m *Machine) watchSuspects(now time.Time) {
	switch {
	case !m.inQuarantine() || m.isIsolated():
		m.isolatingSince = time.Time{}
	case m.isolatingSince.IsZero():
		m.isolatingSince = now
	}
}

// countClaims reports whether a job has a claim, or may have one, or what it did is not settled.
func (j *Job) mayOwnClaim() bool { return j.phase >= claiming && j.phase <= deadLettering }

func countClaims(count *[phaseCount]int) int {
	n := 0
	for p := claiming; p <= deadLettering; p++ {
		n += count[p]
	}
	return n
}

// postponeJob gives a claim back until the suspects in hand are settled. The delivery stays here,
// unless that takes too long.
func (m *Machine) postponeJob(now time.Time, j *Job) {
	j.claimAgain = now.Sub(j.createdAt) < m.cfg.maxSlotWait()
	if j.claimAgain {
		m.settleClaim(now, j, claimEnding{outcome: dedupe.NotBegun})
	} else {
		m.releaseClaim(now, j)
	}
}

// requeuePostponed queues a job that was postponed.
func (m *Machine) requeuePostponed(now time.Time, j *Job) {
	j.claimAgain, j.nonce = false, ""
	if j.suspect {
		j.suspect = false
		m.suspects[j.phase]--
	}
	if j.claim.Crashes < 2 {
		m.queueClaim(now, j)
		return
	}
	m.enterPhase(now, j, queued)
	m.soloQueue = append(m.soloQueue, j)
}

// keepInQuarantine reports whether a claim may be kept now. An innocent one may not while there are
// suspects in hand. A suspect may if it is the first, or one of a group that have crashed once; the
// first has all else sent back that is claimed and not begun.
func (m *Machine) keepInQuarantine(now time.Time, j *Job) bool {
	crashes, first := j.claim.Crashes, !m.inQuarantine()
	if crashes == 0 {
		return first
	}
	if !first && (m.soloSuspect || crashes > 1) {
		return false
	}
	j.suspect = true
	m.suspects[j.phase]++
	if first {
		m.soloSuspect = crashes > 1
		m.isolateSuspects(now)
	}
	return true
}

func (m *Machine) isolateSuspects(now time.Time) {
	m.roster.each(func(o *Job) {
		switch o.phase {
		case ready:
			m.postponeJob(now, o)
		case starting:
			m.cancelJob(o, ErrHalted)
		default: // no claim yet, or it has begun
		}
	})
}
