package protocol

import (
	"errors"
	"time"
)

// ErrPartitionLost is the cause of a run whose partition is, or may be, another process's.
var ErrPartitionLost = errors.New("partition lost: another process owns it, or may own it")

// ownership is what a process knows of its ownership of the topic, where Config.Owned is set.
type ownership struct {
	until time.Time // the ownership is certain before then
	lost  bool      // for good
}

// SetOwnedUntil notes until when the ownership is certain, by this process's clock, unless it is
// renewed. Nothing is fetched, claimed or begun at or after t, and no delivery is nacked or
// extended: another process may have taken over. A claim that is won later is given back. A request
// for one that was sent before and not answered is repeated all the same, for it may hold its event
// for nobody. With a later t, what waited goes on.
//
// Every call carries the time, so a process that was frozen learns that its ownership is over from
// whatever it calls first. Without Config.Owned SetOwnedUntil changes nothing. With it, nothing is
// fetched before the first call.
func (m *Machine) SetOwnedUntil(t time.Time) { m.owned.until = t }

// Lose ends the ownership for good: the partition is, or may be, another process's. Runs are
// cancelled with the cause, and the bus is told nothing any more: answers that were not taken yet
// are emptied, and the driver drops those that it has not sent. Claims that have not begun are
// released in the store, and what has run is settled there; both are fenced. Once nothing is left,
// Drained reports true. Lose may follow Drain. Repeated calls do nothing.
func (m *Machine) Lose(now time.Time, cause error) {
	if m.owned.lost {
		return
	}
	m.owned.lost = true
	for i := range m.answers {
		m.answers[i].Kind = None
	}
	m.draining = true
	m.releaseUnbegun(now)
	m.CancelRuns(cause)
}

// ownershipOver reports whether another process may own the topic.
func (m *Machine) ownershipOver(now time.Time) bool {
	return m.cfg.Owned && (m.owned.lost || !now.Before(m.owned.until))
}

// waitsForOthers reports whether an event that another process has or may have keeps its place
// here. On a topic that all processes read, whoever has an event also sees to the later ones of its
// key. An owner is the only one that reads the topic, so it waits until the event is settled, or
// until it can take the event over.
func (m *Machine) waitsForOthers() bool { return m.cfg.Owned }

// Forsake ends what has begun and is not settled in the store, when nothing more can be done for a
// partition that was handed over or lost: the next owner runs it again, under another claim. Each
// is answered as Lost. What runs is forsaken too, and stays known until it returns.
func (m *Machine) Forsake(now time.Time) {
	m.jobs.each(func(j *Job) {
		if !j.exposed {
			return
		}
		if j.phase == running {
			j.verdict = Verdict{Kind: Failure, Err: ErrPartitionLost, Error: "the handler did not return in time when its partition was given up"}
			j.took, j.hasRun, j.stuck = now.Sub(j.phaseSince), true, true
			m.stuck++
		}
		m.disownJob(now, j, Lost)
	})
}
