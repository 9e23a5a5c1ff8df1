package protocol

import (
	"time"

	"github.com/onceish/onceish/dedupe"
)

// A claim that nobody settled is a crash: its event may be the one that killed its process, or it
// was merely beside it. With one crash it runs only beside other suspects; with two it is the
// process's only claim. So a poison event takes no innocent with it.

// quarantined: there are suspects in hand. Nothing else is fetched, claimed or begun until
// they are settled.
func (m *Machine) quarantined() bool { return inHand(&m.suspects) > 0 }

// isolated: no claim is left, or may be left, that the suspects in hand must not take with them.
func (m *Machine) isolated() bool {
	if m.solo {
		return inHand(&m.count) == 1
	}
	return inHand(&m.count) == inHand(&m.suspects)
}

// Isolating is how many events still run beside suspects that must be alone, and since when nothing
// else is started for them; 0: none.
func (m *Machine) Isolating() (runs int, since time.Time) {
	if m.isolating.IsZero() {
		return 0, since
	}
	return m.count[running] - m.suspects[running], m.isolating
}

// watchSuspects notes since when suspects wait for others to end.
func (m *Machine) watchSuspects(now time.Time) {
	switch {
	case !m.quarantined() || m.isolated():
		m.isolating = time.Time{}
	case m.isolating.IsZero():
		m.isolating = now
	}
}

// inHand reports whether a job has a claim, or may have one, or what it did is not settled.
func (j *Job) inHand() bool { return j.phase >= claiming && j.phase <= burying }

func inHand(count *[phases]int) int {
	n := 0
	for p := claiming; p <= burying; p++ {
		n += count[p]
	}
	return n
}

// postpone gives a claim back until the suspects in hand are settled. The delivery stays here,
// unless that takes too long.
func (m *Machine) postpone(now time.Time, j *Job) {
	j.requeue = now.Sub(j.came) < m.cfg.maxWait()
	if j.requeue {
		m.settle(now, j, ending{outcome: dedupe.NotBegun})
	} else {
		m.giveBack(now, j)
	}
}

// again queues a job that was postponed.
func (m *Machine) again(now time.Time, j *Job) {
	j.requeue, j.nonce = false, ""
	if j.suspect {
		j.suspect = false
		m.suspects[j.phase]--
	}
	if j.claim.Crashes < 2 {
		m.queue(now, j)
		return
	}
	m.enter(now, j, queued)
	m.solos = append(m.solos, j)
}

// quarantine reports whether a claim may be kept now. An innocent one may not while there are
// suspects in hand. A suspect may if it is the first, or one of a group that have crashed once; the
// first has all else sent back that is claimed and not begun.
func (m *Machine) quarantine(now time.Time, j *Job) bool {
	crashes, first := j.claim.Crashes, !m.quarantined()
	if crashes == 0 {
		return first
	}
	if !first && (m.solo || crashes > 1) {
		return false
	}
	j.suspect = true
	m.suspects[j.phase]++
	if first {
		m.solo = crashes > 1
		m.isolate(now)
	}
	return true
}

func (m *Machine) isolate(now time.Time) {
	m.roster.each(func(o *Job) {
		switch o.phase {
		case ready:
			m.postpone(now, o)
		case starting:
			m.cancel(o, ErrHalted)
		default: // no claim yet, or it has begun
		}
	})
}
