package protocol

import (
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// lane is the events of one order key: one of them is in hand, the others wait for it by sequence.
type lane struct {
	head    *Job
	waiting []*Job
	owed    []debt
}

// debt is an event that this process naked: nothing later starts before it was settled here, or went to somebody else, which is
// taken for granted once it is overdue by an ack deadline.
type debt struct {
	seq   uint64
	until time.Time
}

// line puts a job into its lane.
func (m *Machine) line(now time.Time, j *Job) {
	l := m.lanes[j.order]
	if l == nil {
		l = &lane{}
		m.lanes[j.order] = l
	}
	l.insert(j)
	l.forgive(j.at())
	m.parked++
	m.pump(now, l)
}

func (l *lane) insert(j *Job) {
	i, _ := slices.BinarySearchFunc(l.waiting, j.place, func(w *Job, seq uint64) int {
		if w.place < seq {
			return -1
		}
		return 1
	})
	l.waiting = slices.Insert(l.waiting, i, j)
}

// overtake moves a job forward to the place of a copy that came later and lies before it.
func (m *Machine) overtake(now time.Time, j *Job, a *arrived) {
	l, at := m.lanes[a.Order], a.Delivery.At
	if l == nil || a.Order != j.order || !j.same(a) {
		return
	}
	l.forgive(at)
	if i := slices.Index(l.waiting, j); i >= 0 && at.Sequence < j.place {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		j.place = at.Sequence
		l.insert(j)
	}
	m.pump(now, l)
}

// pump lets the next one of the lane go ahead, if it is its turn.
func (m *Machine) pump(now time.Time, l *lane) {
	l.owed = slices.DeleteFunc(l.owed, func(d debt) bool { return !now.Before(d.until) })
	if l.head != nil || len(l.waiting) == 0 {
		return
	}
	next := l.waiting[0]
	if slices.ContainsFunc(l.owed, func(d debt) bool { return d.seq < next.place }) {
		return
	}
	l.head = next
	l.waiting = slices.Delete(l.waiting, 0, 1)
	m.parked--
	m.queue(now, next)
}

// pass takes a job out of its lane, and lets the next one go ahead.
func (m *Machine) pass(now time.Time, j *Job) {
	l := m.lanes[j.order]
	if l == nil {
		return
	}
	if l.head == j {
		l.head = nil
	} else if i := slices.Index(l.waiting, j); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		m.parked--
	}
	m.pump(now, l)
	m.sweepLane(j.order, l)
}

// owe notes that an ordered event was sent back, and comes again.
func (m *Machine) owe(now time.Time, a *arrived, after time.Duration) {
	if a.Order == "" || m.draining {
		return
	}
	l := m.lanes[a.Order]
	if l == nil {
		l = &lane{}
		m.lanes[a.Order] = l
	}
	l.forgive(a.Delivery.At)
	l.owed = append(l.owed, debt{seq: a.Delivery.At.Sequence, until: now.Add(after + m.cfg.AckWait)})
}

func (l *lane) forgive(at bus.Position) {
	l.owed = slices.DeleteFunc(l.owed, func(d debt) bool { return d.seq == at.Sequence })
}

func (m *Machine) sweepLane(order string, l *lane) {
	if l.head == nil && len(l.waiting) == 0 && len(l.owed) == 0 {
		delete(m.lanes, order)
	}
}

// sweepLanes lets go ahead what waited only for a debt that is overdue now.
func (m *Machine) sweepLanes(now time.Time) {
	m.roster.each(func(j *Job) {
		if j.phase == waiting {
			m.pump(now, m.lanes[j.order])
		}
	})
	for order, l := range m.lanes {
		if len(l.waiting) == 0 {
			m.pump(now, l)
			m.sweepLane(order, l)
		}
	}
}

// FullestKey names the order key for which most events wait, and how many.
func (m *Machine) FullestKey() (key string, events int) {
	for order, l := range m.lanes {
		n := len(l.waiting) + len(l.owed)
		if n > events || n == events && order < key {
			key, events = order, n
		}
	}
	return key, events
}
