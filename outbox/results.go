package outbox

import (
	"slices"
	"time"
)

func (s *scheduler) queueResult(it *trackedRow, r Result) {
	s.inFlight--
	s.unmarkedCount++
	r.ID, r.Version = it.row.ID, it.row.Version
	it.state, it.result = rowUnmarked, r
	s.toMark = append(s.toMark, it)
}

// maxSettle is how many rows are marked in one call.
const maxSettle = 1_000

// nextResults returns what is to be marked next, under the leases as they are now. Rows of a lease
// that is over wait: either it is renewed, and nobody else had the partition, or the partition is
// lost.
func (s *scheduler) nextResults(now time.Time) (batch []*trackedRow, rs []Result) {
	var late []*trackedRow
	for len(s.toMark) > 0 && len(batch) < maxSettle {
		it := s.toMark[0]
		s.toMark[0] = nil
		s.toMark = s.toMark[1:]
		switch {
		case it.state != rowUnmarked:
		case it.partition.leaseOver(now):
			late = append(late, it)
		default:
			batch, rs = append(batch, it), append(rs, it.result)
			rs[len(rs)-1].Lease = it.partition.lease
		}
	}
	s.toMark = append(late, s.toMark...)
	return batch, rs
}

func (s *scheduler) requeueResults(batch []*trackedRow) {
	s.toMark = append(slices.Clone(batch), s.toMark...)
}

// recordMarked forgets rows that were marked, and goes on with those behind them.
func (s *scheduler) recordMarked(batch []*trackedRow, oks []bool, now time.Time) {
	for i, it := range batch {
		if it.state != rowUnmarked {
			continue
		}
		s.countResult(it, oks[i])
		s.forgetRow(it)
		if s.reading.active {
			s.reading.settledIDs[it.row.ID] = struct{}{}
		}
		if q := it.queue; q != nil {
			s.resumeQueue(it, q)
		}
		if it.result.Outcome == Refused {
			s.scanNoLater(now.Add(it.result.After))
		}
	}
}

// resumeQueue goes on with a key after one of its rows was marked.
func (s *scheduler) resumeQueue(it *trackedRow, q *keyQueue) {
	if q.failedHead == it {
		if s.reading.active {
			s.reading.releasedKeys[q.key] = struct{}{}
		}
		q.failedHead = nil
		s.forgetQueue(q)
		return
	}
	if q.moreStored && s.keyQueues[q.key] == q {
		s.advanceQueue(q)
	}
}

func (s *scheduler) countResult(it *trackedRow, ok bool) {
	c := &s.stats
	switch {
	case !ok:
		c.Fenced++
	case it.result.Outcome == Confirmed:
		c.Sent++
	case it.result.Outcome == Refused:
		c.Refused++
	case it.result.Outcome == GivenUp:
		c.Dead++
	}
}
