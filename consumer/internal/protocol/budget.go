package protocol

import (
	"time"
)

// fetchBudget is what Fetch returns. With nothing to request, what was requested before is still
// taken in as it arrives: its ack wait runs.
func (m *Machine) fetchBudget(now time.Time) (events int, ok bool) {
	if m.isHalted() {
		return 0, !m.fetches.exhausted
	}
	if events = m.fetchRoom(now); events > 0 {
		return events, true
	}
	return 0, m.fetches.outstanding > 0
}

// fetchRoom is how many events it makes sense to request. What waits for its key counts. Where
// slots are idle all the same, the bus may have events of other keys, or the very event that the
// others wait for: then some are requested now and then, whatever waits.
func (m *Machine) fetchRoom(now time.Time) int {
	if m.quarantine.isActive() || len(m.quarantine.soloQueue) > 0 || m.jobs.count[deadLettering] >= m.cfg.MaxAhead {
		return 0
	}
	if m.pace.oneAtATime() {
		return m.probeRoom(now)
	}
	ahead := m.jobs.notBegun()
	limit := m.pace.allowedRuns + min(m.cfg.MaxAhead, m.fetches.finished.countNow(now))
	fit := m.eventsThatFit()
	free := min(limit-m.busySlots()-ahead-m.waitingCount, fit)
	switch {
	case m.mayScan(now):
		return max(1, min(free, m.cfg.MaxAhead), min(m.cfg.MaxAhead/4, fit))
	case free > 0 && (m.idleSlots() > ahead || free >= limit/4):
		return min(free, m.cfg.MaxAhead)
	}
	return 0 // not worth a round trip yet
}

// probeRoom is fetchRoom while there is a gap between starts: one event is requested when it may
// start.
func (m *Machine) probeRoom(now time.Time) int {
	if m.jobs.count[queued] > 0 || !m.mayProbe(now) || m.idleSlots() <= 0 || (m.waitingCount > 0 && !m.mayScan(now)) {
		return 0
	}
	return 1
}

// mayScan reports whether slots are idle while what waits for its key takes the room, and nothing
// was requested beside it lately.
func (m *Machine) mayScan(now time.Time) bool {
	ahead := m.jobs.notBegun()
	return (m.waitingCount > 0 || (m.eventsThatFit() <= 0 && ahead == 0)) &&
		m.idleSlots() > ahead && now.Sub(m.fetches.lastScan) >= scanInterval
}

// scanInterval is how often events are requested beyond those that wait: at most 2,000 in a second.
const scanInterval = 250 * time.Millisecond

func (m *Machine) busySlots() int {
	return m.jobs.count[starting] + m.jobs.count[running] + m.stuck
}

// idleSlots is how many events could start now.
func (m *Machine) idleSlots() int {
	slots := m.pace.allowedRuns
	if m.pace.oneAtATime() { // beside what began before
		slots = min(m.busySlots()+1, m.cfg.Concurrency)
	}
	return min(slots-m.busySlots(), m.cfg.MaxUnmarked-m.exposed-m.jobs.count[starting])
}

// eventsThatFit is how many more events there is memory for.
func (m *Machine) eventsThatFit() int { return m.fetches.sizes.countIn(m.cfg.MaxBytes - m.heldBytes) }
