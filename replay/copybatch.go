package replay

import "github.com/onceish/onceish/bus"

// copyBatch is copies that are not all settled yet, in the order of their events.
type copyBatch struct {
	copies []eventCopy
	bytes  int
}

// eventCopy is a copy, the position of its event, and that of what was read before it.
type eventCopy struct {
	event     bus.Event
	at, after bus.Position
	settled   bool
}

func (b *copyBatch) add(e bus.Event, at, after bus.Position) {
	b.copies = append(b.copies, eventCopy{event: e, at: at, after: after})
	b.bytes += len(e.Data)
}

func (b *copyBatch) clear() {
	clear(b.copies)
	b.copies, b.bytes = b.copies[:0], 0
}

// heads returns the places of what may be published next: the first copy of each key that is not
// settled, and all that have no key. A bus that fails may store a later one of a key and not an
// earlier one, which would then come behind it.
func (b *copyBatch) heads() (places []int) {
	keys := make(map[string]bool)
	for i := range b.copies {
		c := &b.copies[i]
		if c.settled || keys[c.event.Key] {
			continue
		}
		keys[c.event.Key] = c.event.Key != ""
		places = append(places, i)
	}
	return places
}

// settledUpTo returns the position up to which everything is settled, which is read if all is.
func (b *copyBatch) settledUpTo(read bus.Position) bus.Position {
	for i := range b.copies {
		if !b.copies[i].settled {
			return b.copies[i].after
		}
	}
	return read
}
