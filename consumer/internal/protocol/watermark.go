package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// settledProgress is the group's watermark and what this process saw settled above it. The floor
// is always the bus's own. No process can compute it, for each sees only its share of the
// deliveries.
type settledProgress struct {
	watermark bus.Position
	stream    string
	seen      []eventPlace
}

// maxSettledEvents bounds what is remembered until the watermark advances. Beyond it every other
// event is forgotten, which only makes the watermark a little lower.
const maxSettledEvents = 4096

func (p *settledProgress) recordSettled(at bus.Position) {
	if at.Stream != p.stream {
		p.stream, p.seen = at.Stream, p.seen[:0]
	}
	if len(p.seen) == maxSettledEvents {
		for i := range maxSettledEvents / 2 {
			p.seen[i] = p.seen[2*i+1]
		}
		p.seen = p.seen[:maxSettledEvents/2]
	}
	p.seen = append(p.seen, placeOf(at))
}

// SettledUpTo takes the bus's floor, and returns the events at or below it that this process
// saw settled and that lie above the watermark, by sequence. The last of them is the watermark
// to store: an event whose sequence and stored time are known. If there is none, there is
// nothing to store.
func (m *Machine) SettledUpTo(stream string, floor uint64) []bus.Position {
	p := &m.progress
	if stream != p.stream {
		return nil
	}
	above := uint64(0)
	if p.watermark.Stream == stream {
		above = p.watermark.Sequence
	}
	var settled []bus.Position
	for _, s := range p.seen {
		if s.sequence > above && s.sequence <= floor {
			settled = append(settled, bus.Position{Stream: stream, Sequence: s.sequence, Stored: time.Unix(0, s.stored).UTC()})
		}
	}
	slices.SortStableFunc(settled, func(a, b bus.Position) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return settled
}

// WatermarkStored notes that the store has kept a watermark.
func (m *Machine) WatermarkStored(w bus.Position) {
	p := &m.progress
	p.watermark = w
	p.seen = slices.DeleteFunc(p.seen, func(s eventPlace) bool { return p.stream == w.Stream && s.sequence <= w.Sequence })
}
