package protocol

import "time"

// Fetch tells how many events to ask the bus for now; not ok: do not call it yet. It is 0 where
// only what was asked for before is to be taken in.
func (m *Machine) Fetch(now time.Time) (events int, ok bool) {
	events, ok = m.budget(now)
	m.asked = events
	if events > 0 && m.mayScan(now) {
		m.scanned = now
	}
	return events, ok
}

// opened notes how much of what was asked for may still come.
func (m *Machine) opened(came int) {
	if m.asked == 0 && came == 0 {
		m.open = 0
		return
	}
	m.open = max(0, max(m.open, m.asked)-came) // a request that is open covers a later, smaller one
}

// budget is what Fetch returns. With nothing to ask for, what was asked for before is still taken
// in as it comes: its deadline runs.
func (m *Machine) budget(now time.Time) (events int, ok bool) {
	if m.halted() {
		return 0, !m.readOut
	}
	if events = m.room(now); events > 0 {
		return events, true
	}
	return 0, m.open > 0
}

// room is how many events it makes sense to ask for. What waits for its key counts. Where slots are
// idle all the same, the bus may have events of other keys, or the very event that the others wait
// for: then a part is asked for now and then, whatever waits.
func (m *Machine) room(now time.Time) int {
	if m.quarantined() || len(m.solos) > 0 || m.count[burying] >= m.cfg.MaxAhead {
		return 0
	}
	if m.pace.spaced() {
		return m.probeRoom(now)
	}
	ahead := m.count[queued] + m.count[claiming] + m.count[ready]
	limit := m.pace.allowed + min(m.cfg.MaxAhead, m.finished.within(now))
	fit := m.fit()
	free := min(limit-m.busy()-ahead-m.parked, fit)
	switch {
	case m.mayScan(now):
		return max(1, min(free, m.cfg.MaxAhead), min(m.cfg.MaxAhead/4, fit))
	case free > 0 && (m.idle() > ahead || free >= limit/4):
		return min(free, m.cfg.MaxAhead)
	}
	return 0 // not worth a round trip yet
}

// probeRoom is room while there is a gap between starts: one event is asked for when it may start.
func (m *Machine) probeRoom(now time.Time) int {
	if m.count[queued] > 0 || !m.mayProbe(now) || m.idle() <= 0 || (m.parked > 0 && !m.mayScan(now)) {
		return 0
	}
	return 1
}

// mayScan reports whether slots are idle while what waits for its key takes the room, and nothing
// was asked for beside it lately.
func (m *Machine) mayScan(now time.Time) bool {
	ahead := m.count[queued] + m.count[claiming] + m.count[ready]
	return (m.parked > 0 || (m.fit() <= 0 && ahead == 0)) && m.idle() > ahead && now.Sub(m.scanned) >= scanEvery
}

// scanEvery is how often events are asked for beyond those that wait: at most 2,000 in a second.
const scanEvery = 250 * time.Millisecond

// busy is how many slots are taken.
func (m *Machine) busy() int { return m.count[starting] + m.count[running] + m.stuck }

// idle is how many events could start now.
func (m *Machine) idle() int {
	slots := m.pace.allowed
	if m.pace.spaced() { // beside what began before
		slots = min(m.busy()+1, m.cfg.Concurrency)
	}
	return min(slots-m.busy(), m.cfg.MaxUnmarked-m.exposed-m.count[starting])
}

// fit is how many more events have room here.
func (m *Machine) fit() int { return m.sizes.fit(m.cfg.MaxBytes - m.held) }

// averageSize follows how large events are.
type averageSize struct{ bytes int }

func (s *averageSize) add(size int) { s.bytes += (size - s.bytes) / 8 }

// fit is how many events of the average size have room in so many bytes.
func (s *averageSize) fit(bytes int) int { return bytes / max(s.bytes, 1) }

// recent counts what finished in the last 100 ms, in steps of 10 ms.
type recent struct {
	counts [10]int
	step   int64
	base   time.Time
}

func (r *recent) add(now time.Time) {
	r.roll(now)
	r.counts[r.step%int64(len(r.counts))]++
}

func (r *recent) within(now time.Time) int {
	r.roll(now)
	n := 0
	for _, c := range r.counts {
		n += c
	}
	return n
}

func (r *recent) roll(now time.Time) {
	if r.base.IsZero() {
		r.base = now
	}
	step := int64(now.Sub(r.base) / (10 * time.Millisecond))
	for gone := min(step-r.step, int64(len(r.counts))); gone > 0; gone-- {
		r.counts[(step-gone+1)%int64(len(r.counts))] = 0
	}
	r.step = max(step, r.step)
}
