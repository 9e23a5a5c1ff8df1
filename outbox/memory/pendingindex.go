package memory

import (
	"cmp"
	"slices"
)

// pendingIndex keeps pending rows in the order of (Hash, Seq, ID). Buckets hold the rows of a
// range of hashes each; most rows of a hash come at its end and leave at its beginning, so
// both are cheap.
type pendingIndex struct {
	buckets [1 << bucketBits][]*queueRow
	n       int
}

const bucketBits = 12

func bucketOf(hash uint64) int { return int(hash >> (63 - bucketBits)) }

func compareRows(a, b *queueRow) int {
	return cmp.Or(cmp.Compare(a.Hash, b.Hash), compareInKey(a, b))
}

// compareInKey compares rows of one key.
func compareInKey(a, b *queueRow) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
}

func (s *pendingIndex) add(r *queueRow) {
	b := &s.buckets[bucketOf(r.Hash)]
	s.n++
	if n := len(*b); n == 0 || compareRows((*b)[n-1], r) < 0 {
		*b = append(*b, r)
		return
	}
	i, _ := slices.BinarySearchFunc(*b, r, compareRows)
	*b = slices.Insert(*b, i, r)
}

func (s *pendingIndex) remove(r *queueRow) {
	b := &s.buckets[bucketOf(r.Hash)]
	i, ok := slices.BinarySearchFunc(*b, r, compareRows)
	if !ok {
		return
	}
	s.n--
	rows := *b
	if i < len(rows)/2 { // move the shorter side
		copy(rows[1:i+1], rows[:i])
		rows[0] = nil
		*b = rows[1:]
		return
	}
	*b = slices.Delete(rows, i, i+1)
}

// ascendFrom calls f with the rows from a hash on, in order, until it returns false.
func (s *pendingIndex) ascendFrom(hash uint64, f func(*queueRow) bool) {
	for i := bucketOf(hash); i < len(s.buckets); i++ {
		rows := s.buckets[i]
		at := 0
		if i == bucketOf(hash) {
			at, _ = slices.BinarySearchFunc(rows, hash, func(r *queueRow, h uint64) int { return cmp.Compare(r.Hash, h) })
		}
		for _, r := range rows[at:] {
			if !f(r) {
				return
			}
		}
	}
}
