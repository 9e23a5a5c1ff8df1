package protocol

import "time"

// A claim that nobody settled is a crash: its event may be the one that killed its process, or it was merely beside it. With one
// crash it runs only beside other suspects; with two it is the process's only claim. So a poison event takes no innocent with it.

// quarantined: there are suspects in hand. Nothing else is fetched, claimed or begun until they are settled.
func (m *Machine) quarantined() bool { return inHand(&m.suspects) > 0 }

// isolated: no claim is left, or may be left, that the suspects in hand must not take with them.
func (m *Machine) isolated() bool {
	if m.solo {
		return inHand(&m.count) == 1
	}
	return inHand(&m.count) == inHand(&m.suspects)
}

func inHand(count *[phases]int) int {
	n := 0
	for p := claiming; p <= burying; p++ {
		n += count[p]
	}
	return n
}

// quarantine reports whether a claim may be kept. A suspect that is the first, or of the kind in hand, may; it sends back what
// is claimed and not begun.
func (m *Machine) quarantine(now time.Time, j *Job) bool {
	suspect, others := j.claim.Crashes > 0, m.quarantined()
	if suspect && (!others || (!m.solo && j.claim.Crashes == 1)) {
		j.suspect = true
		m.suspects[j.phase]++
	}
	if others || !suspect {
		return j.suspect == others
	}
	m.solo = j.claim.Crashes > 1
	m.roster.each(func(o *Job) {
		switch o.phase {
		case ready:
			m.giveBack(now, o)
		case starting:
			m.cancel(o, ErrHalted)
		}
	})
	return true
}
