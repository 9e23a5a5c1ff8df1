package cursor

import (
	"context"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// warnOfForgottenGroup warns if the bus knows the group and the store does not: it is another store
// than before, or was emptied.
func (c *Cursor) warnOfForgottenGroup(p *groupPosition, info *bus.Info) {
	if !p.forgotten || info.Floor == 0 {
		return
	}
	c.o.Log.Warn("the bus knows the group on this topic and the store does not: it is another store than before, or was emptied, so events that "+
		"were handled and are delivered or published again will run again; if that is not wanted, stop and configure the store that was used before; "+
		"a consumer that an administrator has just made is no reason to worry",
		"topic", c.o.Topic, "group", c.o.Group, "settled_up_to", info.Floor)
}

// rivalsEvery is how many watermarks are stored before those of other streams are looked at: a
// minute's worth.
const rivalsEvery = 6

// rivalWatermarks are watermarks of the group in other streams. They stand still, unless somebody
// else uses the store for another bus.
type rivalWatermarks struct {
	stored int
	seen   map[string]uint64
	warned bool
}

// lookForRivals warns, once, when another stream's watermark has moved: two clusters of the bus
// share the store. An event of one is then taken for the other's that has the same topic and id.
func (c *Cursor) lookForRivals(ctx context.Context, own string) error {
	c.mu.Lock()
	due := !c.rivals.warned && c.rivals.stored%rivalsEvery == 0
	c.rivals.stored++
	c.mu.Unlock()
	if !due {
		return nil
	}
	kept, err := c.watermarks.Watermarks(ctx, c.o.Group, c.o.Topic)
	if err != nil {
		return err
	}
	c.mu.Lock()
	rival := c.rivals.findMoved(kept, own)
	c.mu.Unlock()
	if rival != "" {
		c.o.Log.Warn("another process moves the group's watermark in another stream: where that is on another cluster of the bus, the two share their marks, "+
			"and an event of one is taken for the other's that has its topic and id, and skipped; give each cluster a database, or a namespace, of its own",
			"topic", c.o.Topic, "group", c.o.Group, "stream", own, "other_stream", rival)
	}
	return nil
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
