package protocol

import (
	"cmp"
	"slices"
	"time"
)

// keyQueue is the events of one order key: one of them is in flight, the others wait for
// it by sequence.
type keyQueue struct {
	head     *Job
	waiting  []*Job               // by place
	expected []*pendingRedelivery // by sequence: nothing later starts before them
	movedAt  time.Time            // when an event of the key last came to its end, or the first one came
}

// keyQueueOf returns that of an order key.
func (m *Machine) keyQueueOf(order string) *keyQueue {
	l := m.keyQueues[order]
	if l == nil {
		l = &keyQueue{}
		m.keyQueues[order] = l
	}
	return l
}

// enqueueByKey puts a job into its lane. One that would start at once, or that others of its key wait for,
// always gets in: for it the latest that waits is nacked.
func (m *Machine) enqueueByKey(now time.Time, j *Job) {
	l := m.keyQueueOf(j.order)
	if l.movedAt.IsZero() {
		l.movedAt = now
	}
	l.insert(j)
	m.waitingCount++
	m.startNext(now, l)
	m.nackLatest(now, l)
}

// overLimits reports whether more waits, or takes memory, than is allowed.
func (m *Machine) overLimits() bool {
	return m.waitingCount > m.cfg.MaxWaiting || m.heldBytes > m.cfg.MaxBytes
}

// nackLatest nacks the latest that wait for a key while there are too many.
func (m *Machine) nackLatest(now time.Time, l *keyQueue) {
	for len(l.waiting) > 0 && (m.overLimits() || len(l.waiting) > m.cfg.maxWaitingPerKey()) {
		last := l.waiting[len(l.waiting)-1]
		m.finishJob(now, last, Answer{Kind: Nak, After: l.evictedNakDelay(now, last.arrivalCount()), Outcome: Held})
	}
}

// evictedNakDelay is when an event that was evicted is redelivered. The longer the key has stood still,
// the longer that is: if all of them came back every few seconds, the bus would deliver little
// else, and events of other keys behind them would never be reached. So at least half of what is
// delivered is new, and the key waits at most as long again.
func (l *keyQueue) evictedNakDelay(now time.Time, arrivals int) time.Duration {
	return max(heldNakDelay(arrivals), min(now.Sub(l.movedAt), maxEvictedDelay))
}

// maxEvictedDelay bounds evictedNakDelay: as a bus delivers hundreds of events in a second at least, a
// hundred thousand evicted ones leave room for others.
const maxEvictedDelay = 5 * time.Minute

func (l *keyQueue) insert(j *Job) {
	i, _ := slices.BinarySearchFunc(l.waiting, j.orderSequence, compareOrder)
	l.waiting = slices.Insert(l.waiting, i, j)
}

// compareOrder puts jobs of one place in the order in which they came in reverse: which of them goes
// first does not matter.
func compareOrder(w *Job, sequence uint64) int { return cmp.Compare(w.orderSequence, sequence) }

// remove takes out a job that waits, and reports whether it did.
func (l *keyQueue) remove(j *Job) bool {
	i, _ := slices.BinarySearchFunc(l.waiting, j.orderSequence, compareOrder)
	for ; i < len(l.waiting) && l.waiting[i].orderSequence == j.orderSequence; i++ {
		if l.waiting[i] == j {
			l.waiting = deleteAt(l.waiting, i)
			return true
		}
	}
	return false
}

// deleteAt removes an element; at the front nothing is moved.
func deleteAt[T any](s []*T, i int) []*T {
	if i == 0 {
		s[0] = nil
		return s[1:]
	}
	return slices.Delete(s, i, i+1)
}

// moveForward moves a job that waits forward to the place of its last copy, which lies before it. If
// that has another payload, it goes first.
func (m *Machine) moveForward(now time.Time, j *Job) {
	l, last := m.keyQueues[j.order], len(j.copies)-1
	if l == nil || j.order == "" || !l.remove(j) {
		return
	}
	if !j.hasPayloadOf(&j.copies[last]) {
		j.copies[0], j.copies[last] = j.copies[last], j.copies[0]
		j.hash, j.deadLetterReason = j.copies[0].Hash, j.copies[0].DeadLetterReason
	}
	j.orderSequence = lowestSequence(j.copies)
	l.insert(j)
	m.startNext(now, l)
	m.nackLatest(now, l)
}

// startNext lets the next one of the lane go ahead, if it is its turn.
func (m *Machine) startNext(now time.Time, l *keyQueue) {
	if !l.headMayStart() || m.isHalted() {
		return
	}
	l.head = l.waiting[0]
	l.waiting = deleteAt(l.waiting, 0)
	m.waitingCount--
	m.queueClaim(now, l.head)
}

// headMayStart reports whether the first that waits may go ahead.
func (l *keyQueue) headMayStart() bool {
	return l.head == nil && len(l.waiting) > 0 &&
		(len(l.expected) == 0 || l.expected[0].at.Sequence >= l.waiting[0].orderSequence)
}

// stopWaiting takes a job that waits for its key out of its lane.
func (m *Machine) stopWaiting(j *Job) {
	if l := m.keyQueues[j.order]; l != nil && j.order != "" && l.remove(j) {
		m.waitingCount--
	}
}

// leaveKeyQueue takes a job that has ended from the head of its lane, and lets the next one go ahead.
func (m *Machine) leaveKeyQueue(now time.Time, j *Job) {
	l := m.keyQueues[j.order]
	if l == nil || j.order == "" {
		return
	}
	if l.head == j {
		l.head = nil
		if m.expected.byKey[j.key] == nil {
			l.movedAt = now
		}
	}
	m.advanceKeyQueue(now, j.order)
}

// advanceKeyQueue lets the next one of an order key go ahead, after what it may have waited for is over.
func (m *Machine) advanceKeyQueue(now time.Time, order string) {
	l := m.keyQueues[order]
	if l == nil {
		return
	}
	m.startNext(now, l)
	if l.head == nil && len(l.waiting) == 0 && len(l.expected) == 0 {
		delete(m.keyQueues, order)
	}
}

// expectRedelivery holds up what comes later than an event until that is over.
func (l *keyQueue) expectRedelivery(r *pendingRedelivery) {
	i, _ := slices.BinarySearchFunc(l.expected, r.at.Sequence, compareSequence)
	l.expected = slices.Insert(l.expected, i, r)
}

func compareSequence(r *pendingRedelivery, sequence uint64) int {
	return cmp.Compare(r.at.Sequence, sequence)
}

func (l *keyQueue) clearRedelivery(r *pendingRedelivery) {
	i, _ := slices.BinarySearchFunc(l.expected, r.at.Sequence, compareSequence)
	for ; i < len(l.expected) && l.expected[i].at.Sequence == r.at.Sequence; i++ {
		if l.expected[i] == r {
			l.expected = deleteAt(l.expected, i)
			return
		}
	}
}

// FullestKey names the order key for which most events wait, here or on the bus, and how many.
func (m *Machine) FullestKey() (key string, events int) {
	for order, l := range m.keyQueues {
		n := len(l.waiting) + len(l.expected)
		if n > events || n == events && order < key {
			key, events = order, n
		}
	}
	return key, events
}
