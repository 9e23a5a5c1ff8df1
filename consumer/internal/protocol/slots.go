package protocol

// BusySlots is how many events have a slot: they wait for gate or limit, they run, or their handler
// did not return at the run limit.
func (m *Machine) BusySlots() int { return m.busySlots() }

// Exposure is how many events have a slot to start, or have started and are not settled in the
// store: what Config.MaxUnmarked bounds.
func (m *Machine) Exposure() int { return m.exposed + m.jobs.count[starting] }
