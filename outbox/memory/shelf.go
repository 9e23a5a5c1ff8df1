package memory

import (
	"cmp"
	"slices"
)

// shelf keeps pending rows in the order of (Hash, Seq, ID). Boards hold the rows of a range of
// hashes each; most rows of a hash come at its end and leave at its beginning, so both are cheap.
type shelf struct {
	boards [1 << boardBits][]*row
	n      int
}

const boardBits = 12

// board is where a hash lies.
func board(hash uint64) int { return int(hash >> (63 - boardBits)) }

func compare(a, b *row) int {
	if c := cmp.Compare(a.Hash, b.Hash); c != 0 {
		return c
	}
	return inKey(a, b)
}

// inKey compares rows of one key.
func inKey(a, b *row) int {
	if c := cmp.Compare(a.Seq, b.Seq); c != 0 {
		return c
	}
	return cmp.Compare(a.ID, b.ID)
}

func (s *shelf) add(r *row) {
	b := &s.boards[board(r.Hash)]
	s.n++
	if n := len(*b); n == 0 || compare((*b)[n-1], r) < 0 {
		*b = append(*b, r)
		return
	}
	i, _ := slices.BinarySearchFunc(*b, r, compare)
	*b = slices.Insert(*b, i, r)
}

func (s *shelf) remove(r *row) {
	b := &s.boards[board(r.Hash)]
	i, ok := slices.BinarySearchFunc(*b, r, compare)
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

// from calls f with the rows from a hash on, in order, until it returns false.
func (s *shelf) from(hash uint64, f func(*row) bool) {
	for i := board(hash); i < len(s.boards); i++ {
		rows := s.boards[i]
		at := 0
		if i == board(hash) {
			at, _ = slices.BinarySearchFunc(rows, hash, func(r *row, h uint64) int { return cmp.Compare(r.Hash, h) })
		}
		for _, r := range rows[at:] {
			if !f(r) {
				return
			}
		}
	}
}
