package protocol

import "time"

// Fetch tells how many events to ask the bus for now; not ok: do not call it yet. It is 0 where only what was asked for before is to
// be taken in.
func (m *Machine) Fetch(now time.Time) (events int, ok bool) {
	events, ok = m.budget(now)
	m.asked = events
	return events, ok
}

// opened notes how much of what was asked for may still come.
func (m *Machine) opened(came int) {
	switch {
	case m.asked > 0:
		m.open = max(0, m.asked-came)
	case came == 0:
		m.open = 0
	default:
		m.open = max(0, m.open-came)
	}
}

// budget is what Fetch returns. With nothing to ask for, what was asked for before is still taken in as it comes: its deadline runs.
func (m *Machine) budget(now time.Time) (events int, ok bool) {
	if m.halted() {
		return 0, !m.readOut
	}
	if events = m.room(now); events > 0 {
		return events, true
	}
	return 0, m.open > 0
}

// room is how many events it makes sense to ask for.
func (m *Machine) room(now time.Time) int {
	if m.quarantined() || len(m.solos) > 0 || m.count[settling]+m.count[burying] >= maxUnmarked {
		return 0
	}
	ahead := m.count[queued] + m.count[claiming] + m.count[ready]
	busy := m.busy()
	idle := m.cfg.Concurrency - busy
	limit := m.cfg.Concurrency + min(maxAhead, m.finished.within(now))
	free := limit - busy - ahead
	if free <= 0 || (ahead >= idle && free < limit/4) {
		return 0 // not worth a round trip yet
	}
	return min(free, maxAhead)
}

// busy is how many slots are taken.
func (m *Machine) busy() int { return m.count[starting] + m.count[running] + m.stuck }

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
