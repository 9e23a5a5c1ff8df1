package memory

import (
	"math"

	"github.com/onceish/onceish/dedupe"
)

// sweepSome goes round the chunks, a little further with each write, so that what has expired is
// gone after a while. No call is long for it.
func (t *rowTable) sweepSome(now int64) {
	const step = 8
	for range min(step, len(t.chunks)) {
		t.sweepNext = (t.sweepNext + 1) % len(t.chunks)
		if t.earliest[t.sweepNext] <= now {
			t.sweepChunk(t.sweepNext, now)
			return
		}
	}
}

// sweepAll looks only at rows of chunks in which something may have expired.
func (t *rowTable) sweepAll(now int64) {
	for i, first := range t.earliest {
		if first <= now {
			t.sweepChunk(i, now)
		}
	}
}

func (t *rowTable) sweepChunk(i int, now int64) {
	c, earliest := t.chunks[i], int64(math.MaxInt64)
	for j := range c {
		switch r := &c[j]; {
		case r.phase == dedupe.PhaseAbsent:
		case r.expires <= now:
			t.removeRow(uint32(i*chunkRows + j))
		default:
			earliest = min(earliest, r.expires)
		}
	}
	t.earliest[i] = earliest
}
