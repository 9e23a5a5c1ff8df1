package cursor

import "github.com/onceish/onceish/dedupe"

// rivalsEvery is how often the watermarks are read until those of other streams are compared: a
// minute's worth.
const rivalsEvery = 6

// rivalWatermarks are watermarks of the group in other streams. They stand still, unless somebody
// else uses the store for another bus.
type rivalWatermarks struct {
	read   int
	seen   map[string]uint64
	warned bool
}

// warnOfRival warns, once, when another stream's watermark has moved: two clusters of the bus share
// the store. An event of one is then taken for the other's that has the same topic and id.
func (c *Cursor) warnOfRival(kept []dedupe.Watermark, own string) {
	c.mu.Lock()
	rival := ""
	if !c.rivals.warned && c.rivals.read%rivalsEvery == 0 {
		rival = c.rivals.findMoved(kept, own)
	}
	c.rivals.read++
	c.mu.Unlock()
	if rival != "" {
		c.o.Log.Warn("another process moves the group's watermark in another stream: where that is on another cluster of the bus, the two share their marks, "+
			"and an event of one is taken for the other's that has its topic and id, and skipped; give each cluster a database, or a namespace, of its own",
			"topic", c.o.Topic, "group", c.o.Group, "stream", own, "other_stream", rival)
	}
}

// findMoved returns a stream, other than own, whose watermark has moved since the last call.
func (r *rivalWatermarks) findMoved(kept []dedupe.Watermark, own string) (rival string) {
	first := r.seen == nil
	if first {
		r.seen = make(map[string]uint64, len(kept))
	}
	for _, w := range kept {
		if before := r.seen[w.Stream]; w.Stream != own && !first && w.Sequence > before {
			rival, r.warned = w.Stream, true
		}
		r.seen[w.Stream] = w.Sequence
	}
	return rival
}
