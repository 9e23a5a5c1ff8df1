package cursor

import (
	"math/bits"

	"github.com/onceish/onceish/dedupe"
)

func pointAt(at dedupe.Position) dedupe.Point {
	return dedupe.Point{Sequence: at.Sequence, Stored: at.Stored}
}

// thinTrail keeps, of the points of a trail below a sequence, one for each power of two of its
// distance: the further back, the sparser. So 64 are the most, and the newest point of a copy
// that ends n events earlier is at most about 2n back.
func thinTrail(trail []dedupe.Point, to uint64) []dedupe.Point {
	var out []dedupe.Point
	distance := 0
	for _, p := range trail {
		if p.Sequence == 0 || p.Sequence >= to {
			continue
		}
		if n := bits.Len64(to - p.Sequence); len(out) == 0 || n != distance {
			out, distance = append(out, p), n
		}
	}
	return out
}

// cutTrail returns the watermark at a point of its trail. Sequence 0 is none of them.
func cutTrail(w dedupe.Watermark, at dedupe.Point) dedupe.Watermark {
	back := dedupe.Watermark{Position: dedupe.Position{Stream: w.Stream, Sequence: at.Sequence, Stored: at.Stored}}
	for _, p := range w.Trail {
		if p.Sequence < at.Sequence {
			back.Trail = append(back.Trail, p)
		}
	}
	return back
}
