package protocol

import "time"

// Fetch tells how many events to ask the bus for now; not ok: ask for nothing yet. Paused or draining it is 0 for as long as
// something that was asked for may still come.
func (m *Machine) Fetch(now time.Time) (events int, ok bool) {
	events, ok = m.budget(now)
	m.asked = events
	return events, ok
}

func (m *Machine) budget(now time.Time) (events int, ok bool) {
	if m.halted() {
		return 0, !m.readOut
	}
	if m.quarantined() || len(m.solos) > 0 || m.count[settling]+m.count[burying] >= maxUnmarked {
		return 0, false
	}
	ahead := m.count[queued] + m.count[claiming] + m.count[ready]
	busy := m.busy()
	idle := m.cfg.Concurrency - busy
	limit := m.cfg.Concurrency + min(maxAhead, m.finished.within(now))
	free := limit - busy - ahead
	if free <= 0 || (ahead >= idle && free < limit/4) {
		return 0, false // not worth a round trip yet
	}
	return min(free, maxAhead), true
}

// busy is how many slots are taken.
func (m *Machine) busy() int { return m.count[starting] + m.count[running] + m.stuck }

// recent counts what finished in the last 100 ms, in steps of 10 ms.
type recent struct {
	counts [10]int
	step   int64
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
	step := now.UnixMilli() / 10
	for gone := min(step-r.step, int64(len(r.counts))); gone > 0; gone-- {
		r.counts[(step-gone+1)%int64(len(r.counts))] = 0
	}
	r.step = max(step, r.step)
}
