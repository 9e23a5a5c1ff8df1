package protocol

import "time"

// What the bus says while the subscription runs, and the Machine follows.

// SetAckWait replaces the deadline of deliveries: somebody has changed it on the bus, where it also
// holds for what is out already. Those are extended in time for the new one; what is past it may be
// somebody else's.
func (m *Machine) SetAckWait(d time.Duration) {
	old := m.cfg.AckWait
	if d <= 0 || d == old {
		return
	}
	m.cfg.AckWait = d
	m.roster.each(func(j *Job) {
		for i := range j.copies {
			a := &j.copies[i]
			began := a.ackDeadline.Add(-old)
			a.ackDeadline, a.extendAt = began.Add(d), began.Add(d/3)
		}
	})
}

// TickEvery is how often Tick wants to be called now. Who calls it looks at Fetch, too.
func (m *Machine) TickEvery() time.Duration {
	every := m.cfg.TickEvery()
	if m.pace.oneAtATime() {
		every = min(every, m.pace.gap/2)
	}
	if m.waitingCount > 0 { // there may be nothing else to wake a scan
		every = min(every, scanInterval)
	}
	return every
}

// SetBusTime notes what time it is for the bus, by whose clock events are stored, at a moment of
// this process's.
func (m *Machine) SetBusTime(now, bus time.Time) {
	if !bus.IsZero() {
		m.busClockOffset = bus.Sub(now)
	}
}

// busTime is a moment of this process by the bus's clock. Until that is known, both are taken
// for the same.
func (m *Machine) busTime(t time.Time) time.Time { return t.Add(m.busClockOffset) }
