package protocol

import (
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Fetch reports whether the driver is to call the bus's Fetch now (ok), and for how many events. 0
// collects what earlier calls requested.
func (m *Machine) Fetch(now time.Time) (events int, ok bool) {
	events, ok = m.fetchBudget(now)
	m.fetches.requested = events
	if events > 0 && m.mayScan(now) {
		m.fetches.lastScan = now
	}
	return events, ok
}

// fetchBudget is what Fetch returns. Also with nothing to request, earlier requests are collected,
// for the ack wait of what they deliver is running.
func (m *Machine) fetchBudget(now time.Time) (events int, ok bool) {
	switch {
	case m.owned.lost:
		return 0, false
	case m.isHalted():
		return 0, !m.fetches.exhausted
	case m.ownershipOver(now):
		return 0, m.fetches.outstanding > 0
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
	limit := m.allowedRuns() + min(m.cfg.MaxAhead, m.fetches.finished.countNow(now))
	fit := m.eventsThatFit()
	free := min(limit-m.busySlots()-ahead-m.waitingCount(), fit)
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
	if m.jobs.count[queued] > 0 || !m.mayProbe(now) || m.idleSlots() <= 0 || (m.waitingCount() > 0 && !m.mayScan(now)) {
		return 0
	}
	return 1
}

// mayScan reports whether slots are idle while what waits for its key takes the room, and nothing
// was requested beside it lately.
func (m *Machine) mayScan(now time.Time) bool {
	ahead := m.jobs.notBegun()
	return (m.waitingCount() > 0 || (m.eventsThatFit() <= 0 && ahead == 0)) &&
		m.idleSlots() > ahead && now.Sub(m.fetches.lastScan) >= scanInterval
}

// scanInterval is how often events are requested beyond those that wait: at most 2,000 in a second.
const scanInterval = 250 * time.Millisecond

// eventsThatFit is how many more events there is memory for.
func (m *Machine) eventsThatFit() int {
	return (m.cfg.MaxBytes - m.heldBytes) / max(m.fetches.averageSize, 1)
}

// fetchState is what was requested of the bus, and how large and how fast events have been lately.
type fetchState struct {
	requested   int       // by the last Fetch
	outstanding int       // what was requested and may still arrive
	exhausted   bool      // paused or draining, and nothing that was requested can arrive any more
	lastScan    time.Time // when events were last requested beside those that wait
	averageSize int       // of events, in bytes
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

// Arrival is a delivery with what the driver worked out about it.
type Arrival struct {
	Delivery *bus.Delivery
	Key      dedupe.Key
	// Hash is that of the payload. If nil, payloads are not compared.
	Hash []byte
	// Order is the order key. Events with one key are handled one after the other;
	// empty is no order.
	Order string
	// DeadLetterReason, if not empty, is why the event is dead-lettered without a run.
	DeadLetterReason string
	// Foreign says that the message is no event of this group, but a copy for another one, or
	// something that the bus's server stored for itself. It is acked unrun.
	Foreign bool
	// Again is the bus.Control.Again that the delivery came with.
	Again string
	// Copied says that its control headers name it a copy that was published on purpose.
	Copied bool
	// Original is the position of the event that it is a copy of; that of the delivery if it is
	// none, or does not say.
	Original bus.Position
}

// TakeControl takes the control headers off a delivery's event, so that no handler passes them on,
// and returns what they say, and whether that is that the copy is for another group. An error says
// that they were written for another event, and are to be ignored.
func TakeControl(d *bus.Delivery, group string) (control bus.Control, foreign bool, err error) {
	control, err = d.Event.Control()
	d.Event = d.Event.WithoutControl()
	return control, control.Group != "" && control.Group != group, err
}

// Fetched takes in what a fetch returned, also when that is nothing.
func (m *Machine) Fetched(now time.Time, as []Arrival) {
	m.fetches.exhausted = m.isHalted() && m.fetches.requested == 0 && len(as) == 0
	m.fetches.recordFetched(len(as))
	for i := range as {
		c := deliveryCopy{Arrival: as[i], ackWaitFrom: now}
		m.fetches.averageSize += (c.memorySize() - m.fetches.averageSize) / 8
		m.heldBytes += c.memorySize()
		m.expected.take(&c)
		m.admitCopy(now, c)
		m.advanceKeyQueue(now, c.Order)
	}
}
