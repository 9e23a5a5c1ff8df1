package protocol

import (
	"cmp"
	"slices"
	"time"
)

// keyQueues holds the queue of each order key that has events in flight or expects redeliveries.
// There is none for the empty key, which is no order.
type keyQueues map[string]*keyQueue

// keyQueue is the events of one order key: one is in flight, the others wait for it by sequence.
type keyQueue struct {
	head     *Job
	waiting  bySequence[*Job]               // by orderSequence
	expected bySequence[*pendingRedelivery] // nothing later starts before them
	movedAt  time.Time                      // when an event of the key last ended, or the first one arrived
}

// of returns the queue of an order key, and makes it if there is none.
func (qs keyQueues) of(order string) *keyQueue {
	q := qs[order]
	if q == nil {
		q = &keyQueue{}
		qs[order] = q
	}
	return q
}

// clearRedelivery stops holding up what comes later than a redelivery.
func (qs keyQueues) clearRedelivery(r *pendingRedelivery) {
	if q := qs[r.order]; q != nil {
		q.expected.remove(r)
	}
}

// isBlocking reports whether events wait for a redelivery.
func (qs keyQueues) isBlocking(r *pendingRedelivery) bool {
	q := qs[r.order]
	return q != nil && len(q.waiting) > 0 && q.expected[0] == r
}

// bySequence is a list by sequence. What has the same one lies in the reverse order of its arrival:
// which of it goes first does not matter.
type bySequence[T interface {
	comparable
	queueSequence() uint64
}] []T

func (s bySequence[T]) findFirst(sequence uint64) int {
	i, _ := slices.BinarySearchFunc(s, sequence, func(e T, to uint64) int { return cmp.Compare(e.queueSequence(), to) })
	return i
}

func (s *bySequence[T]) insert(e T) { *s = slices.Insert(*s, s.findFirst(e.queueSequence()), e) }

// remove takes out an element, and reports whether it was there.
func (s *bySequence[T]) remove(e T) bool {
	for i := s.findFirst(e.queueSequence()); i < len(*s) && (*s)[i].queueSequence() == e.queueSequence(); i++ {
		if (*s)[i] == e {
			*s = deleteAt(*s, i)
			return true
		}
	}
	return false
}

// deleteAt removes an element. At the front nothing is moved.
func deleteAt[S ~[]T, T any](s S, i int) S {
	if i == 0 {
		clear(s[:1])
		return s[1:]
	}
	return slices.Delete(s, i, i+1)
}

// headMayStart reports whether the first job that waits may be claimed.
func (q *keyQueue) headMayStart() bool {
	return q.head == nil && len(q.waiting) > 0 &&
		(len(q.expected) == 0 || q.expected[0].at.Sequence >= q.waiting[0].orderSequence)
}

func (q *keyQueue) isEmpty() bool {
	return q.head == nil && len(q.waiting) == 0 && len(q.expected) == 0
}

// enqueueByKey puts a job into the queue of its order key. One that would start at once, or that
// others of its key wait for, always gets in; for it, the latest that waits is nacked.
func (m *Machine) enqueueByKey(now time.Time, j *Job) {
	q := m.keyQueues.of(j.order)
	if q.movedAt.IsZero() {
		q.movedAt = now
	}
	q.waiting.insert(j)
	m.startNext(now, q)
	m.nackLatest(now, q)
}

// waitingCount is how many deliveries wait for their order key, or for another copy.
func (m *Machine) waitingCount() int { return m.jobs.count[waiting] + m.extraCopies }

// overLimits reports whether more deliveries wait, or take memory, than is allowed.
func (m *Machine) overLimits() bool {
	return m.waitingCount() > m.cfg.MaxWaiting || m.heldBytes > m.cfg.MaxBytes
}

// nackLatest nacks the latest jobs that wait for a key while there are too many.
func (m *Machine) nackLatest(now time.Time, q *keyQueue) {
	for len(q.waiting) > 0 && (m.overLimits() || len(q.waiting) > m.cfg.maxWaitingPerKey()) {
		last := q.waiting[len(q.waiting)-1]
		after := q.evictedNakDelay(now, last.arrivalCount())
		m.finishJob(now, last, Answer{Kind: Nak, After: after, Outcome: Held})
	}
}

// moveForward moves a job that waits to the place of its last copy, which lies before it. A copy
// with another payload becomes the one that the job runs for.
func (m *Machine) moveForward(now time.Time, j *Job) {
	q, last := m.keyQueues[j.order], len(j.copies)-1
	if q == nil || !q.waiting.remove(j) {
		return
	}
	j.orderSequence = j.copies[last].Delivery.At.Sequence
	if !j.hasPayloadOf(&j.copies[last]) {
		j.copies[0], j.copies[last] = j.copies[last], j.copies[0]
		j.hash, j.deadLetterReason = j.copies[0].Hash, j.copies[0].DeadLetterReason
	}
	q.waiting.insert(j)
	m.startNext(now, q)
	m.nackLatest(now, q)
}

// startNext has the next job of a key claimed, if nothing holds it up.
func (m *Machine) startNext(now time.Time, q *keyQueue) {
	if !q.headMayStart() || m.isHalted() {
		return
	}
	q.head = q.waiting[0]
	q.waiting = deleteAt(q.waiting, 0)
	m.queueClaim(now, q.head)
}

// leaveKeyQueue takes a job that has ended from the head of its queue, and starts the next one.
func (m *Machine) leaveKeyQueue(now time.Time, j *Job) {
	q := m.keyQueues[j.order]
	if q == nil {
		return
	}
	if q.head == j {
		q.head = nil
		if m.expected.holds[j.key] == nil {
			q.movedAt = now
		}
	}
	m.advanceKeyQueue(now, j.order)
}

// advanceKeyQueue starts the next job of an order key once what it may have waited for is over.
func (m *Machine) advanceKeyQueue(now time.Time, order string) {
	q := m.keyQueues[order]
	if q == nil {
		return
	}
	m.startNext(now, q)
	if q.isEmpty() {
		delete(m.keyQueues, order)
	}
}

// FullestKey returns the order key for which most events wait, here or on the bus, and how many.
func (m *Machine) FullestKey() (key string, events int) {
	for order, q := range m.keyQueues {
		n := len(q.waiting) + len(q.expected)
		if n > events || n == events && order < key {
			key, events = order, n
		}
	}
	return key, events
}

// Overdue is an event for which others of its order key wait.
type Overdue struct {
	Key      string
	Sequence uint64
	Due      time.Time
	Waiting  int
}

// Overdue returns the event that has been due for longest of those that others of their order key
// wait for. ok is false if none has been due for longer than the given time.
func (m *Machine) Overdue(now time.Time, longer time.Duration) (o Overdue, ok bool) {
	for key, q := range m.keyQueues {
		if len(q.waiting) == 0 || q.head != nil || len(q.expected) == 0 {
			continue
		}
		if r := q.expected[0]; now.Sub(r.due) > longer && (!ok || r.due.Before(o.Due)) {
			o, ok = Overdue{Key: key, Sequence: r.at.Sequence, Due: r.due, Waiting: len(q.waiting)}, true
		}
	}
	return o, ok
}
