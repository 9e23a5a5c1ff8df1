package mongo

import (
	"math"
	"sync"

	"github.com/onceish/onceish/outbox"
)

// MongoDB reads a page in the order of the index byHash, and stops at its limit. FerretDB, over
// PostgreSQL, sorts all that a query finds before it limits it: there a query costs as much as it
// could find, wanted or not. So pages are read in steps that are about as wide as has rows for one.
// On MongoDB a step too narrow costs another round trip, and nothing else. How wide a step is, is a
// guess: a wrong one costs time only.

// hashWindow is how many hashes are read in one step. It is safe for concurrent use.
type hashWindow struct {
	mu     sync.Mutex
	hashes uint64 // zero: all
}

func (w *hashWindow) lastHash(from, last uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hashes == 0 || last-from < w.hashes {
		return last
	}
	return from + w.hashes
}

// recordFound sets the window by how many different hashes were found in a range, and how many are
// wanted.
func (w *hashWindow) recordFound(hashes uint64, found, wanted int) {
	if found < 2 {
		return // a key with many rows says nothing of others
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hashes = uint64(float64(hashes) / float64(found) * float64(wanted))
}

// grow widens the window after a step that did not fill the page.
func (w *hashWindow) grow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hashes *= 4; w.hashes > outbox.MaxHash/4 {
		w.hashes = 0
	}
}

// seqWindow is how far the rows of keys that filled a page went. It is safe for concurrent use.
type seqWindow struct {
	mu   sync.Mutex
	keys map[uint64]seqRange // by hash
}

// seqRange is where a page of a key ended, and how far apart its first and last rows were.
type seqRange struct{ end, length int64 }

const (
	// maxWindowKeys bounds how many keys are remembered.
	maxWindowKeys = 1000
	// maxWindowTries is how many steps of one page are tried before one that takes all.
	maxWindowTries = 3
)

// lastSeq returns the last seq of a step that begins after a seq. Each try for a page reaches
// farther.
func (r *seqWindow) lastSeq(hash uint64, after int64, try int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.keys[hash]
	length := s.length
	for range 2 * try {
		length = min(length*2, math.MaxInt64/4)
	}
	if from := max(s.end, after); ok && try < maxWindowTries && from < math.MaxInt64-length {
		return from + length
	}
	return math.MaxInt64
}

// recordPage sets the window of a key by a page of its rows.
func (r *seqWindow) recordPage(hash uint64, first, last int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil || len(r.keys) >= maxWindowKeys {
		r.keys = make(map[uint64]seqRange)
	}
	r.keys[hash] = seqRange{end: last, length: max(1, last-first)}
}
