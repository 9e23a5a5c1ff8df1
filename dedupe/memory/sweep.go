package memory

import (
	"math"

	"github.com/onceish/onceish/dedupe"
)

// sweepSome goes round the chunks, a little further with each write, so that what has expired is
// gone after a while. No call is long for it.
func (t *table) sweepSome(now int64) {
	const step = 8
	for range min(step, len(t.chunks)) {
		t.hand = (t.hand + 1) % len(t.chunks)
		if t.earliest[t.hand] <= now {
			t.sweep(t.hand, now)
			return
		}
	}
}

// sweepAll looks only at rows of chunks in which something may have expired.
func (t *table) sweepAll(now int64) {
	for i, first := range t.earliest {
		if first <= now {
			t.sweep(i, now)
		}
	}
}

func (t *table) sweep(i int, now int64) {
	c, earliest := t.chunks[i], int64(math.MaxInt64)
	for j := range c {
		switch r := &c[j]; {
		case r.phase == dedupe.PhaseAbsent:
		case r.expires <= now:
			t.remove(uint32(i*chunkRows + j))
		default:
			earliest = min(earliest, r.expires)
		}
	}
	t.earliest[i] = earliest
}
