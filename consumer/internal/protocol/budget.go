package protocol

import (
	"time"
)

// fetchState is what was requested of the bus, and how large and how fast events have been lately.
type fetchState struct {
	requested   int       // by the last Fetch
	outstanding int       // what was requested and may still arrive
	exhausted   bool      // paused or draining, and nothing that was requested can arrive any more
	lastScan    time.Time // when events were last requested beside those that wait
	sizes       averageSize
	finished    recentCount
}

// recordFetched notes how much of what was requested may still arrive. A request that is open
// covers a later, smaller one.
func (f *fetchState) recordFetched(arrived int) {
	if f.requested == 0 && arrived == 0 {
		f.outstanding = 0
		return
	}
	f.outstanding = max(0, max(f.outstanding, f.requested)-arrived)
}

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

// averageSize follows how large events are.
type averageSize struct{ bytes int }

func (s *averageSize) addSize(size int) { s.bytes += (size - s.bytes) / 8 }

// countIn is how many events of the average size there is room for in so many bytes.
func (s *averageSize) countIn(bytes int) int { return bytes / max(s.bytes, 1) }

// recentCount counts what finished in the last 100 ms, in steps of 10 ms.
type recentCount struct {
	counts [10]int
	step   int64
	base   time.Time
}

func (r *recentCount) addOne(now time.Time) {
	r.rollTo(now)
	r.counts[r.step%int64(len(r.counts))]++
}

func (r *recentCount) countNow(now time.Time) int {
	r.rollTo(now)
	n := 0
	for _, c := range r.counts {
		n += c
	}
	return n
}

func (r *recentCount) rollTo(now time.Time) {
	if r.base.IsZero() {
		r.base = now
	}
	step := int64(now.Sub(r.base) / (10 * time.Millisecond))
	for gone := min(step-r.step, int64(len(r.counts))); gone > 0; gone-- {
		r.counts[(step-gone+1)%int64(len(r.counts))] = 0
	}
	r.step = max(step, r.step)
}
