package protocol

import (
	"time"

	"github.com/onceish/onceish/bus"
)

// progress is what this process saw settled, and the watermark that lets it say: all at or below is nobody's business any more. The
// floor itself is always the bus's own; no process can compute it, for it sees only its share of the deliveries.
type progress struct {
	watermark bus.Position
	stream    string
	seen      []sighting
}

type sighting struct {
	seq    uint64
	stored int64
}

// maxSightings bounds what is remembered between two advances; beyond it every other one is forgotten, which only makes the
// watermark's time a little older.
const maxSightings = 4096

func (p *progress) settled(at bus.Position) {
	if at.Stream != p.stream {
		p.stream, p.seen = at.Stream, p.seen[:0]
	}
	if len(p.seen) == maxSightings {
		for i := range maxSightings / 2 {
			p.seen[i] = p.seen[2*i+1]
		}
		p.seen = p.seen[:maxSightings/2]
	}
	p.seen = append(p.seen, sighting{at.Sequence, at.Stored.UnixNano()})
}

// Advance takes the bus's own floor, and returns the watermark to store: the floor, with the stored time of the newest event at or
// below it that this process saw settled (older is safe). Not ok: there is nothing new to store.
func (m *Machine) Advance(stream string, floor uint64) (w bus.Position, ok bool) {
	p := &m.progress
	known := p.watermark.Stream == stream
	if stream != p.stream || (known && floor < p.watermark.Sequence) {
		return bus.Position{}, false
	}
	newest := int64(0)
	if known && !p.watermark.Stored.IsZero() {
		newest = p.watermark.Stored.UnixNano()
	}
	kept := p.seen[:0]
	for _, s := range p.seen {
		if s.seq > floor {
			kept = append(kept, s)
		} else {
			newest = max(newest, s.stored)
		}
	}
	p.seen = kept
	w = bus.Position{Stream: stream, Sequence: floor, Stored: time.Unix(0, newest).UTC()}
	return w, newest != 0 && (!known || !p.watermark.Covers(w))
}

// Advanced notes that the store has kept a watermark.
func (m *Machine) Advanced(w bus.Position) { m.progress.watermark = w }
