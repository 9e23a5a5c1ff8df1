package cursor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// ErrStreamReplaced is returned when the topic's stream has none of the events that the group has
// handled, and events that are older than those.
var ErrStreamReplaced = bus.ErrStreamReplaced

// margin is how far below the watermark's stored time a cursor is made on a bus that cannot look up
// events: clocks step back, and what was stored after the watermark may have an earlier time.
const margin = 10 * time.Minute

// resolveTries bounds how often others may change the watermark while it is being resolved.
const resolveTries = 10

// groupPosition is where a group goes on in a stream.
type groupPosition struct {
	at     dedupe.Watermark
	resume bus.Position // where a consumer is created if there is none
	first  uint64       // the first sequence that the stream has; 0: it has no event
	known  bool
	// forgotten is set if the group has a consumer, and the store no watermark of it.
	forgotten bool
}

// resolvePosition decides where the group goes on, and stores that. Several processes may do so at
// once: one of them decides, and the others find what it stored.
func (c *Cursor) resolvePosition(ctx context.Context) (groupPosition, error) {
	known, forgotten := false, false
	for try := range resolveTries {
		// Before the stream is looked at: what is kept by then is in it, unless it was replaced.
		kept, err := c.watermarks.Watermarks(ctx, c.o.Group, c.o.Topic)
		if err != nil {
			return groupPosition{}, err
		}
		info, err := c.o.Bus.Topic(ctx, c.o.Topic, c.o.Group, c.o.From)
		if err != nil {
			return groupPosition{}, err
		}
		if try == 0 { // later it is what was begun here
			known = info.Known || len(kept) > 0
			if kept, forgotten, err = c.rereadWatermarks(ctx, &info, kept); err != nil {
				return groupPosition{}, err
			}
		}
		i := slices.IndexFunc(kept, func(w dedupe.Watermark) bool { return w.Stream == info.Start.Stream })
		if i < 0 {
			err = c.enterStream(ctx, &info, kept)
		} else {
			var p groupPosition
			var ok bool
			if p, ok, err = c.resumeInStream(ctx, &info, kept[i]); ok && err == nil {
				p.known, p.forgotten, p.first = known, forgotten, info.First.Sequence
				return p, nil
			}
		}
		if err != nil {
			return groupPosition{}, err
		}
	}
	return groupPosition{}, fmt.Errorf("the group's watermark was changed by others %d times while it was read: try again", resolveTries)
}

// rereadWatermarks reads the watermarks again if the bus knows the group and the store did not:
// another process may just have begun. It reports whether the store has forgotten the group.
func (c *Cursor) rereadWatermarks(ctx context.Context, info *bus.TopicInfo, kept []dedupe.Watermark) (_ []dedupe.Watermark, forgotten bool, err error) {
	if !info.Known || len(kept) > 0 || c.o.Watermarks == nil {
		return kept, false, nil
	}
	kept, err = c.watermarks.Watermarks(ctx, c.o.Group, c.o.Topic)
	return kept, len(kept) == 0, err
}

// enterStream stores where the group starts in a stream in which it is not known.
func (c *Cursor) enterStream(ctx context.Context, info *bus.TopicInfo, kept []dedupe.Watermark) error {
	at := dedupe.Watermark{Position: dedupe.Position{Stream: info.Start.Stream}}
	inherits := false
	for _, w := range slices.Backward(kept) {
		found, err := c.compareStream(ctx, info, w)
		if err != nil {
			return err
		}
		if inherits = found.newest.Sequence > 0; inherits {
			at = found.remainingWatermark(w)
			at.Stream = info.Start.Stream
			break
		}
	}
	switch {
	case inherits:
		c.o.Log.Info("the stream is a copy of one that the group knows: going on from the watermark of that",
			"topic", c.o.Topic, "group", c.o.Group, "stream", at.Stream, "sequence", at.Sequence, "stored", at.Stored)
	case len(kept) == 0 || c.o.FromStream == info.Start.Stream:
		at.Position = dedupe.Position(info.Start)
	default:
		newest := joinHighest(kept)
		if err := c.refuseStream(info, newest); err != nil {
			return err
		}
		c.o.Log.Warn("the stream is another one than the group knows, and all in it is newer: starting at its first event; if the other one is still used, on another "+
			"cluster of the bus, give each a database, or a namespace, of its own: they share their marks, and an event of one is taken for the other's",
			"topic", c.o.Topic, "group", c.o.Group, "stream", at.Stream, "first", info.First.Sequence, "last", info.Last.Sequence,
			"known_stream", newest.Stream, "known_sequence", newest.Sequence, "known_stored", newest.Stored)
	}
	_, err := c.watermarks.Begin(ctx, c.o.Group, c.o.Topic, at)
	return err
}

// joinHighest joins watermarks to one at or above all of them.
func joinHighest(kept []dedupe.Watermark) dedupe.Watermark {
	var out dedupe.Watermark
	for _, w := range kept {
		if w.Sequence == 0 {
			continue
		}
		out.Stream, out.Sequence = w.Stream, max(out.Sequence, w.Sequence)
		if w.Stored.After(out.Stored) {
			out.Stored = w.Stored
		}
	}
	return out
}

// refuseStream is why a stream cannot be read from its first event although none of its events is
// known to be handled: some are as old as those that were handled, and could be among them.
func (c *Cursor) refuseStream(info *bus.TopicInfo, known dedupe.Watermark) error {
	switch {
	case known.Sequence == 0, info.First.Sequence == 0, info.WorkQueue,
		info.First.Sequence > known.Sequence, info.First.Stored.After(known.Stored):
		return nil
	}
	return fmt.Errorf("%w: group %q has handled topic %q up to sequence %d of %q, stored at %v; %q has sequences %d (stored at %v) "+
		"to %d (stored at %v), and nothing proves that they are a copy, so events would be skipped or handled again: "+
		"set Options.FromStream (start_stream, --start-stream) to %q and Options.From (start, --start) to where the group goes on; if the two streams are on two clusters of the bus, give each a database, or a namespace, of its own",
		ErrStreamReplaced, c.o.Group, c.o.Topic, known.Sequence, known.Stream, known.Stored, info.Start.Stream,
		info.First.Sequence, info.First.Stored, info.Last.Sequence, info.Last.Stored, info.Start.Stream)
}

// resumeInStream decides where a group goes on that has a watermark in this stream. ok is false if
// the watermark is to be read again.
func (c *Cursor) resumeInStream(ctx context.Context, info *bus.TopicInfo, w dedupe.Watermark) (p groupPosition, ok bool, err error) {
	if w.Sequence == 0 {
		return groupPosition{at: w, resume: bus.Position{Stream: w.Stream, Stored: w.Stored}}, true, nil
	}
	found, err := c.compareStream(ctx, info, w)
	if err != nil {
		return groupPosition{}, false, err
	}
	if found.unknown {
		c.o.Log.Warn("the bus may not look at single events, so a stream restored from an older copy is not recognised; "+
			"permit it, or check the group after a restore", "topic", c.o.Topic, "group", c.o.Group, "stream", w.Stream)
	}
	if !found.replaced {
		return groupPosition{at: w, resume: found.resumePosition(w, info)}, true, nil
	}
	back := found.remainingWatermark(w)
	if back.Sequence == 0 && c.o.FromStream == info.Start.Stream {
		back.Position = dedupe.Position(info.Start)
	} else if back.Sequence == 0 {
		if err := c.refuseStream(info, w); err != nil {
			return groupPosition{}, false, err
		}
	}
	c.o.Log.Warn("the stream no longer has the event at the group's watermark: it came back from an older copy, and the watermark moves back",
		"topic", c.o.Topic, "group", c.o.Group, "stream", w.Stream, "last", info.Last.Sequence, "from", w.Sequence, "to", back.Sequence)
	_, err = c.watermarks.Replace(ctx, c.o.Group, c.o.Topic, w, back)
	return groupPosition{}, false, err // whoever has replaced it
}
