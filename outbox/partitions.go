package outbox

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// heldPartition is a partition that this drainer leases.
type heldPartition struct {
	lease       Lease
	localEnd    time.Time // by monotonic time, which stands still while the machine sleeps
	wallEnd     time.Time // the same by wall time, which does not
	takenAtRead uint64    // pageRead.number when it was taken: what was read before may be out of date
	busyRows    int       // rows that are in flight or unmarked
}

func (p *heldPartition) setLeaseEnd(until time.Time) { p.localEnd, p.wallEnd = until, until.Round(0) }

// leaseOver reports whether the lease has ended by either clock. A wall clock that was put forward
// only costs a pause until the lease is renewed.
func (p *heldPartition) leaseOver(now time.Time) bool {
	return !now.Before(p.localEnd) || !now.Round(0).Before(p.wallEnd)
}

// mayPublish reports whether there is enough of the lease left to publish something.
func (p *heldPartition) mayPublish(now time.Time, lease time.Duration) bool {
	return !p.leaseOver(now.Add(lease / 10))
}

// adoptLeases takes in the leases that a store granted; sent is when it was asked. It reports
// whether there are partitions whose rows are to be read.
func (s *scheduler) adoptLeases(leases []Lease, sent time.Time) (fresh bool) {
	held := make(map[int]bool, len(leases))
	for _, l := range leases {
		held[l.Partition] = true
		p := s.partitions[l.Partition]
		if p != nil && p.lease.Token != l.Token {
			s.losePartition(p)
			p = nil
		}
		if p == nil {
			p = &heldPartition{takenAtRead: s.reading.number}
			s.partitions[l.Partition] = p
			fresh = true
		}
		fresh = fresh || p.lease.Ending && !l.Ending
		p.lease = l
		p.setLeaseEnd(sent.Add(l.Left))
		if l.Ending {
			s.dropRows(p, false)
		}
	}
	for n, p := range s.partitions {
		if !held[n] {
			s.losePartition(p)
		}
	}
	s.sortPartitions()
	return fresh
}

// sortPartitions orders the partitions by their hashes, and counts those that are ending.
func (s *scheduler) sortPartitions() {
	s.byHash = slices.SortedFunc(maps.Values(s.partitions), func(x, y *heldPartition) int { return cmp.Compare(x.lease.First, y.lease.First) })
	s.endingCount = 0
	for _, p := range s.byHash {
		if p.lease.Ending {
			s.endingCount++
		}
	}
}

// losePartition forgets a partition that others have.
func (s *scheduler) losePartition(p *heldPartition) {
	s.stats.Lost += uint64(p.busyRows)
	s.dropRows(p, true)
	delete(s.partitions, p.lease.Partition)
	s.sortPartitions()
}

// dropRows forgets the rows of a partition: all, or those that are neither in flight nor unmarked.
func (s *scheduler) dropRows(p *heldPartition, all bool) {
	dropped := false
	for _, it := range s.rows {
		if it.partition == p && (all || it.state == rowWaiting || it.state == rowReady) {
			s.forgetRow(it)
			dropped = true
		}
	}
	if dropped {
		forgotten := func(it *trackedRow) bool { return it.state == rowForgotten }
		s.readyRows, s.toMark = slices.DeleteFunc(s.readyRows, forgotten), slices.DeleteFunc(s.toMark, forgotten)
	}
	for _, q := range s.keyQueues {
		if q.partition != p {
			continue
		}
		q.waiting, q.moreStored = nil, false
		if q.head != nil && q.head.state == rowForgotten {
			q.head = nil
		}
		if all || q.head == nil && q.failedHead == nil {
			s.forgetQueue(q)
		}
	}
}

// releasableLeases returns the leases of partitions that are ending, and that have no rows in
// flight or unmarked.
func (s *scheduler) releasableLeases() []Lease {
	var leases []Lease
	for _, p := range s.partitions {
		if p.lease.Ending && p.busyRows == 0 {
			leases = append(leases, p.lease)
		}
	}
	return leases
}

// partitionAt returns the partition that has a hash; nil: it is not this drainer's.
func (s *scheduler) partitionAt(hash uint64) *heldPartition {
	i, exact := slices.BinarySearchFunc(s.byHash, hash, func(p *heldPartition, h uint64) int { return cmp.Compare(p.lease.First, h) })
	if !exact {
		i--
	}
	if i < 0 || hash > s.byHash[i].lease.Last {
		return nil
	}
	return s.byHash[i]
}

// hashRange is a range of hashes, inclusive.
type hashRange struct{ first, last uint64 }

// hashRanges returns the ranges of the partitions to be drained, in order. Adjacent partitions are
// one range, so that they are read together.
func (s *scheduler) hashRanges() []hashRange {
	var runs []hashRange
	for _, p := range s.byHash {
		switch n := len(runs); {
		case p.lease.Ending:
		case n > 0 && runs[n-1].last+1 == p.lease.First:
			runs[n-1].last = p.lease.Last
		default:
			runs = append(runs, hashRange{p.lease.First, p.lease.Last})
		}
	}
	return runs
}
