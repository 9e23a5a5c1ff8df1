package outbox

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// part is a partition that this drainer has.
type part struct {
	lease Lease
	until time.Time // by our own clock, which stands still while the machine sleeps
	wall  time.Time // the same by its wall clock, which does not
	born  uint64    // how many loads had begun when it was taken
	busy  int       // rows that are flying or unsettled
}

// holds sets until when the lease is ours.
func (p *part) holds(until time.Time) { p.until, p.wall = until, until.Round(0) }

// over reports whether the lease has ended by either clock. A wall clock that was put forward costs
// a pause until the lease is renewed, and no more.
func (p *part) over(now time.Time) bool {
	return !now.Before(p.until) || !now.Round(0).Before(p.wall)
}

// mayStart reports whether there is enough of the lease left to publish something.
func (p *part) mayStart(now time.Time, lease time.Duration) bool { return !p.over(now.Add(lease / 10)) }

// adopt takes in what a store answered to Acquire; sent is when it was asked. It reports whether
// there are rows to look for.
func (b *board) adopt(leases []Lease, sent time.Time) (fresh bool) {
	held := make(map[int]bool, len(leases))
	for _, l := range leases {
		held[l.Partition] = true
		p := b.parts[l.Partition]
		if p != nil && p.lease.Token != l.Token {
			b.lose(p)
			p = nil
		}
		if p == nil {
			p = &part{born: b.load.number}
			b.parts[l.Partition] = p
			fresh = true
		}
		fresh = fresh || p.lease.Ending && !l.Ending
		p.lease = l
		p.holds(sent.Add(l.Left))
		if l.Ending {
			b.drop(p, false)
		}
	}
	for n, p := range b.parts {
		if !held[n] {
			b.lose(p)
		}
	}
	b.sort()
	return fresh
}

// sort keeps the partitions by their hashes.
func (b *board) sort() {
	b.order = slices.SortedFunc(maps.Values(b.parts), func(x, y *part) int { return cmp.Compare(x.lease.First, y.lease.First) })
	b.ending = 0
	for _, p := range b.order {
		if p.lease.Ending {
			b.ending++
		}
	}
}

// lose forgets a partition: others have it.
func (b *board) lose(p *part) {
	b.stats.Lost += uint64(p.busy)
	b.drop(p, true)
	delete(b.parts, p.lease.Partition)
	b.sort()
}

// drop forgets the rows of a partition: all, or those that nobody works on.
func (b *board) drop(p *part, all bool) {
	dropped := false
	for _, it := range b.rows {
		if it.part == p && (all || it.state == waiting || it.state == ready) {
			b.forget(it)
			dropped = true
		}
	}
	if dropped {
		forgotten := func(it *item) bool { return it.state == gone }
		b.ready, b.results = slices.DeleteFunc(b.ready, forgotten), slices.DeleteFunc(b.results, forgotten)
	}
	for _, l := range b.lanes {
		if l.part != p {
			continue
		}
		l.queue, l.more = nil, false
		if l.head != nil && l.head.state == gone {
			l.head = nil
		}
		if all || l.head == nil && l.failed == nil {
			b.end(l)
		}
	}
}

// wound returns the leases of partitions that end, and that nothing is on its way of.
func (b *board) wound() []Lease {
	var leases []Lease
	for _, p := range b.parts {
		if p.lease.Ending && p.busy == 0 {
			leases = append(leases, p.lease)
		}
	}
	return leases
}

// hasWound reports whether there are any.
func (b *board) hasWound() bool {
	return b.ending > 0 && slices.ContainsFunc(b.order, func(p *part) bool { return p.lease.Ending && p.busy == 0 })
}

// at finds the partition of a hash.
func (b *board) at(hash uint64) *part {
	i, exact := slices.BinarySearchFunc(b.order, hash, func(p *part, h uint64) int { return cmp.Compare(p.lease.First, h) })
	if !exact {
		i--
	}
	if i < 0 || hash > b.order[i].lease.Last {
		return nil
	}
	return b.order[i]
}

// span is a run of hashes.
type span struct{ first, last uint64 }

// spans are the runs of the partitions to be drained, in order. Neighbours are asked for at once.
func (b *board) spans() []span {
	var runs []span
	for _, p := range b.order {
		switch n := len(runs); {
		case p.lease.Ending:
		case n > 0 && runs[n-1].last+1 == p.lease.First:
			runs[n-1].last = p.lease.Last
		default:
			runs = append(runs, span{p.lease.First, p.lease.Last})
		}
	}
	return runs
}
