package outbox

import "time"

// pageRead is the read of a page that is in flight. Rows that are marked meanwhile may be on the
// page as they were before.
type pageRead struct {
	active       bool
	number       uint64
	refill       *keyQueue // the queue that it is for; nil: the scanner's
	lastHash     uint64
	settledIDs   map[string]struct{} // rows that were marked meanwhile
	releasedKeys map[string]struct{} // keys whose blocked rows were released meanwhile
}

// startRead notes that hashes are being read, for a key queue or for the scanner.
func (s *scheduler) startRead(from, to uint64, refill *keyQueue) Ask {
	s.reading.active, s.reading.refill, s.reading.lastHash = true, refill, to
	s.reading.number++
	if refill != nil {
		s.refillQueue = s.refillQueue[1:]
	}
	return Ask{
		From: from, To: to, Rows: min(s.maxPageRows(), s.o.MaxRows-len(s.rows)), Bytes: max(1, min(s.o.MaxBytes/4, s.o.MaxBytes-s.bytes)),
		PastDead: s.o.AfterDead == GoOn,
	}
}

func (s *scheduler) finishRead(p Page, err error, now time.Time) {
	read := s.reading
	if err == nil && read.refill != nil {
		read.refill.moreStored = false
	}
	n := 0
	if err == nil {
		n = s.acceptRows(p, now)
		s.scanner.newRows += n
		s.scanner.rowsSeen += len(p.Rows)
	}
	s.reading.active, s.reading.refill = false, nil
	clear(read.settledIDs)
	clear(read.releasedKeys)
	switch {
	case read.refill != nil:
		s.finishRefill(read.refill, n, err)
	case err != nil:
	case p.Next == 0 && read.lastHash == MaxHash:
		s.endScan(now)
	case p.Next == 0:
		s.scanner.nextHash = read.lastHash + 1
	default:
		s.scanner.nextHash = p.Next
	}
}

// acceptRows takes in the rows that are new here, belong to this drainer and may be published, and
// returns how many. A row that may not be published yet blocks the later ones of its key.
func (s *scheduler) acceptRows(p Page, now time.Time) (n int) {
	blocked := map[string]struct{}{}
	for i := range p.Rows {
		r := &p.Rows[i]
		if h := s.topicHolds[r.Event.Topic]; h != nil {
			h.lastScan = s.scanner.number
		}
		key := r.Event.Key
		owned := s.partitionAt(r.Hash)
		if _, behind := blocked[key]; behind && key != "" || owned == nil || owned.lease.Ending || owned.takenAtRead >= s.reading.number || s.isKnown(r) {
			continue
		}
		q := s.keyQueues[key]
		switch {
		case q != nil && q.failedHead != nil:
		case !s.mayTake(r, now):
			blocked[key] = struct{}{}
		case q != nil && len(q.waiting) >= s.maxQueueRows():
			q.moreStored = true
			blocked[key] = struct{}{}
		default:
			s.addRow(r, owned)
			n++
		}
	}
	if p.Cut && len(p.Rows) > 0 {
		if q := s.keyQueues[p.Rows[len(p.Rows)-1].Event.Key]; q != nil {
			q.moreStored = true
		}
	}
	return n
}

// isKnown reports whether a row is in memory, or was and is only on the page because that was being
// read then.
func (s *scheduler) isKnown(r *Row) bool {
	_, here := s.rows[r.ID]
	_, settled := s.reading.settledIDs[r.ID]
	_, released := s.reading.releasedKeys[r.Event.Key]
	return here || settled || released
}

// mayTake reports whether a row is due and its topic not held. If not, a scan looks for it when it
// may be.
func (s *scheduler) mayTake(r *Row, now time.Time) bool {
	switch {
	case r.After > 0:
		s.scanNoLater(now.Add(r.After))
		return false
	case s.topicHolds.isHeld(r.Event.Topic, now):
		s.scanNoLater(s.topicHolds[r.Event.Topic].until)
		return false
	}
	return true
}

// nextRefill returns the key queue that has waited longest for more rows.
func (s *scheduler) nextRefill() *keyQueue {
	if len(s.rows) > s.o.MaxRows*3/4 {
		return nil
	}
	for len(s.refillQueue) > 0 {
		q := s.refillQueue[0]
		if q.moreStored && s.keyQueues[q.key] == q {
			return q
		}
		s.refillQueue = s.refillQueue[1:]
	}
	return nil
}

// finishRefill goes on with a key queue after a read of its rows. All that the store has may be in
// memory already, not marked yet: then marking asks for a refill again, or a scan finds more.
func (s *scheduler) finishRefill(q *keyQueue, n int, err error) {
	q.refillAsked = false
	if q.head == nil && len(q.waiting) == 0 && err == nil {
		q.moreStored = false
	}
	if n > 0 || !q.moreStored || err != nil {
		s.advanceQueue(q)
	}
}
