package outbox

import (
	"time"
)

// scheduler decides which rows a drainer reads, publishes and marks next. It is all that a drainer
// has in memory. It has no goroutines, clock or I/O; the drainer's lock guards it.
type scheduler struct {
	o *Options

	partitions  map[int]*heldPartition
	byHash      []*heldPartition       // the same partitions, ordered by hash
	endingCount int                    // how many of them are ending
	rows        map[string]*trackedRow // all but the forgotten ones, by Row.ID
	keyQueues   map[string]*keyQueue
	bytes       int

	readyRows     []*trackedRow // may be published, in the order in which they became ready; some are forgotten
	toMark        []*trackedRow // have a result to be marked, in order; some are forgotten
	inFlight      int
	unmarkedCount int // rows that have a result, in toMark or being marked

	topicHolds  topicHolds
	outage      busOutage
	refillQueue []*keyQueue
	reading     pageRead
	scanner     rowScanner
	draining    bool
	pausedBy    []string // see Drainer.PauseBy
	busClosed   error    // set once the bus is closed for good
	stats       Stats
}

func newScheduler(o *Options) scheduler {
	return scheduler{
		o: o, partitions: map[int]*heldPartition{}, rows: map[string]*trackedRow{}, keyQueues: map[string]*keyQueue{}, topicHolds: topicHolds{},
		reading: pageRead{settledIDs: map[string]struct{}{}, releasedKeys: map[string]struct{}{}},
	}
}

// addRow takes in a row that is not in memory.
func (s *scheduler) addRow(r *Row, p *heldPartition) {
	it := &trackedRow{row: *r, size: Size(&r.Event), partition: p}
	s.rows[r.ID] = it
	s.bytes += it.size
	if r.Event.Key == "" {
		s.makeReady(it)
		return
	}
	q := s.keyQueues[r.Event.Key]
	if q == nil {
		q = &keyQueue{key: r.Event.Key, hash: r.Hash, partition: p}
		s.keyQueues[r.Event.Key] = q
	}
	it.queue = q
	q.insert(it)
	s.advanceQueue(q)
}

// advanceQueue makes the next row of a key ready if none is, asks for more rows when few are left,
// and forgets a queue that is empty.
func (s *scheduler) advanceQueue(q *keyQueue) {
	if q.head == nil && len(q.waiting) > 0 {
		q.head = q.pop()
		s.makeReady(q.head)
	}
	if q.moreStored && !q.refillAsked && len(q.waiting) <= s.maxQueueRows()/4 {
		q.refillAsked = true
		s.refillQueue = append(s.refillQueue, q)
	}
	if q.head == nil && !q.moreStored && q.failedHead == nil {
		s.forgetQueue(q)
	}
}

// maxQueueRows is how many rows of one key may wait in memory: many if there are few keys.
func (s *scheduler) maxQueueRows() int {
	return max(16, min(s.maxPageRows(), s.o.MaxRows/(4*(len(s.keyQueues)+1))))
}

// maxPageRows is how many rows are read at once.
func (s *scheduler) maxPageRows() int { return min(2_000, s.o.MaxRows/4) }

func (s *scheduler) makeReady(it *trackedRow) {
	it.state = rowReady
	s.readyRows = append(s.readyRows, it)
}

func (s *scheduler) nextBatch(now time.Time) []*trackedRow {
	if len(s.pausedBy) > 0 {
		return nil
	}
	most := min(s.o.Batch, s.o.MaxRows/2-s.unmarkedCount-s.inFlight, s.outage.batchLimit(now, s.o.Batch))
	var batch, late []*trackedRow
	bytes := 0
	for len(batch) < most && len(s.readyRows) > 0 && bytes < maxCall {
		it := s.readyRows[0]
		s.readyRows[0] = nil
		s.readyRows = s.readyRows[1:]
		switch {
		case it.state != rowReady:
		case !it.partition.mayPublish(now, s.o.Lease):
			late = append(late, it)
		case s.topicHolds.isHeld(it.row.Event.Topic, now):
			s.scanNoLater(s.topicHolds[it.row.Event.Topic].until)
			s.putRowBack(it)
		default:
			it.state, it.isProbe = rowInFlight, s.outage.failures > 0
			it.partition.busyRows++
			s.inFlight++
			bytes += it.size
			batch = append(batch, it)
		}
	}
	s.readyRows = append(s.readyRows, late...)
	s.outage.probing = s.outage.probing || len(batch) > 0 && batch[0].isProbe
	return batch
}

// maxCall bounds the bytes of one call to the bus.
const maxCall = 4 << 20

func (s *scheduler) forgetRow(it *trackedRow) {
	switch it.state {
	case rowInFlight:
		s.inFlight--
		it.partition.busyRows--
	case rowUnmarked:
		s.unmarkedCount--
		it.partition.busyRows--
	case rowWaiting, rowReady:
	case rowForgotten:
		return
	}
	it.state = rowForgotten
	s.bytes -= it.size
	delete(s.rows, it.row.ID)
}

// putRowBack drops a row that cannot be published now, and those of its key behind it. They
// are read again.
func (s *scheduler) putRowBack(it *trackedRow) {
	s.forgetRow(it)
	if q := it.queue; q != nil {
		s.emptyQueue(q)
		q.head = nil
		s.forgetQueue(q)
	}
}

func (s *scheduler) emptyQueue(q *keyQueue) {
	for _, it := range q.waiting {
		s.forgetRow(it)
	}
	q.waiting, q.moreStored = nil, false
}

// forgetQueue forgets a queue, if it is still the one of its key.
func (s *scheduler) forgetQueue(q *keyQueue) {
	if s.keyQueues[q.key] == q {
		delete(s.keyQueues, q.key)
	}
}
