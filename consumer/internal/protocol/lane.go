package protocol

import (
	"cmp"
	"slices"
	"time"
)

// lane is the events of one order key: one of them is in flight, the others wait for
// it by sequence.
type lane struct {
	head     *Job
	waiting  []*Job        // by place
	expected []*redelivery // by sequence: nothing later starts before them
	moved    time.Time     // when an event of the key last came to its end, or the first one came
}

// lane returns that of an order key.
func (m *Machine) lane(order string) *lane {
	l := m.lanes[order]
	if l == nil {
		l = &lane{}
		m.lanes[order] = l
	}
	return l
}

// line puts a job into its lane. One that would start at once, or that others of its key wait for,
// always gets in: for it the latest that waits is nacked.
func (m *Machine) line(now time.Time, j *Job) {
	l := m.lane(j.order)
	if l.moved.IsZero() {
		l.moved = now
	}
	l.insert(j)
	m.parked++
	m.pump(now, l)
	m.evict(now, l)
}

// crowded reports whether more waits, or takes memory, than is allowed.
func (m *Machine) crowded() bool { return m.parked > m.cfg.MaxWaiting || m.held > m.cfg.MaxBytes }

// evict nacks the latest that wait for a key while there are too many.
func (m *Machine) evict(now time.Time, l *lane) {
	for len(l.waiting) > 0 && (m.crowded() || len(l.waiting) > m.cfg.maxWaitingPerKey()) {
		last := l.waiting[len(l.waiting)-1]
		m.conclude(now, last, Answer{Kind: Nak, After: l.evictedNak(now, last.arrivals()), Outcome: Held})
	}
}

// evictedNak is when an event that was evicted is redelivered. The longer the key has stood still,
// the longer that is: if all of them came back every few seconds, the bus would deliver little
// else, and events of other keys behind them would never be reached. So at least half of what is
// delivered is new, and the key waits at most as long again.
func (l *lane) evictedNak(now time.Time, arrivals int) time.Duration {
	return max(heldNak(arrivals), min(now.Sub(l.moved), mostEvicted))
}

// mostEvicted bounds evictedNak: as a bus delivers hundreds of events in a second at least, a
// hundred thousand evicted ones leave room for others.
const mostEvicted = 5 * time.Minute

func (l *lane) insert(j *Job) {
	i, _ := slices.BinarySearchFunc(l.waiting, j.place, byPlace)
	l.waiting = slices.Insert(l.waiting, i, j)
}

// byPlace puts jobs of one place in the order in which they came in reverse: which of them goes
// first does not matter.
func byPlace(w *Job, sequence uint64) int { return cmp.Compare(w.place, sequence) }

// remove takes out a job that waits, and reports whether it did.
func (l *lane) remove(j *Job) bool {
	i, _ := slices.BinarySearchFunc(l.waiting, j.place, byPlace)
	for ; i < len(l.waiting) && l.waiting[i].place == j.place; i++ {
		if l.waiting[i] == j {
			l.waiting = cut(l.waiting, i)
			return true
		}
	}
	return false
}

// cut removes an element; at the front nothing is moved.
func cut[T any](s []*T, i int) []*T {
	if i == 0 {
		s[0] = nil
		return s[1:]
	}
	return slices.Delete(s, i, i+1)
}

// overtake moves a job that waits forward to the place of its last copy, which lies before it. If
// that has another payload, it goes first.
func (m *Machine) overtake(now time.Time, j *Job) {
	l, last := m.lanes[j.order], len(j.copies)-1
	if l == nil || j.order == "" || !l.remove(j) {
		return
	}
	if !j.same(&j.copies[last]) {
		j.copies[0], j.copies[last] = j.copies[last], j.copies[0]
		j.hash, j.bury = j.copies[0].Hash, j.copies[0].Bury
	}
	j.place = lowest(j.copies)
	l.insert(j)
	m.pump(now, l)
	m.evict(now, l)
}

// pump lets the next one of the lane go ahead, if it is its turn.
func (m *Machine) pump(now time.Time, l *lane) {
	if !l.free() || m.halted() {
		return
	}
	l.head = l.waiting[0]
	l.waiting = cut(l.waiting, 0)
	m.parked--
	m.queue(now, l.head)
}

// free reports whether the first that waits may go ahead.
func (l *lane) free() bool {
	return l.head == nil && len(l.waiting) > 0 &&
		(len(l.expected) == 0 || l.expected[0].at.Sequence >= l.waiting[0].place)
}

// stopWaiting takes a job that waits for its key out of its lane.
func (m *Machine) stopWaiting(j *Job) {
	if l := m.lanes[j.order]; l != nil && j.order != "" && l.remove(j) {
		m.parked--
	}
}

// pass takes a job that has ended from the head of its lane, and lets the next one go ahead.
func (m *Machine) pass(now time.Time, j *Job) {
	l := m.lanes[j.order]
	if l == nil || j.order == "" {
		return
	}
	if l.head == j {
		l.head = nil
		if m.expected.byKey[j.key] == nil {
			l.moved = now
		}
	}
	m.passOn(now, j.order)
}

// passOn lets the next one of an order key go ahead, after what it may have waited for is over.
func (m *Machine) passOn(now time.Time, order string) {
	l := m.lanes[order]
	if l == nil {
		return
	}
	m.pump(now, l)
	if l.head == nil && len(l.waiting) == 0 && len(l.expected) == 0 {
		delete(m.lanes, order)
	}
}

// expect holds up what comes later than an event until that is over.
func (l *lane) expect(r *redelivery) {
	i, _ := slices.BinarySearchFunc(l.expected, r.at.Sequence, bySequence)
	l.expected = slices.Insert(l.expected, i, r)
}

func bySequence(r *redelivery, sequence uint64) int { return cmp.Compare(r.at.Sequence, sequence) }

func (l *lane) forget(r *redelivery) {
	i, _ := slices.BinarySearchFunc(l.expected, r.at.Sequence, bySequence)
	for ; i < len(l.expected) && l.expected[i].at.Sequence == r.at.Sequence; i++ {
		if l.expected[i] == r {
			l.expected = cut(l.expected, i)
			return
		}
	}
}

// FullestKey names the order key for which most events wait, here or on the bus, and how many.
func (m *Machine) FullestKey() (key string, events int) {
	for order, l := range m.lanes {
		n := len(l.waiting) + len(l.expected)
		if n > events || n == events && order < key {
			key, events = order, n
		}
	}
	return key, events
}
