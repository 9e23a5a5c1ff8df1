package cursor

import (
	"context"
	"errors"
	"slices"

	"github.com/onceish/onceish/dedupe"
)

// reviewWatermarks reads what the store keeps of the group, and repairs its watermark in a stream
// that came back from an older copy. Whoever had not noticed that, because it was frozen, may have
// moved the watermark to an event that the stream does not have any more. Who notices that sets it
// back, also below what others have settled since.
func (c *Cursor) reviewWatermarks(ctx context.Context, stream string) error {
	c.mu.Lock()
	own, opened := c.at, c.opened
	c.mu.Unlock()
	// Before the stream is looked at: what is kept by then is in it, unless it was replaced.
	kept, err := c.watermarks.Watermarks(ctx, c.o.Group, c.o.Topic)
	if err != nil {
		return err
	}
	c.warnOfRival(kept, stream)
	i := slices.IndexFunc(kept, func(w dedupe.Watermark) bool { return w.Stream == stream })
	if i < 0 || own.Stream != stream || kept[i].Sequence == own.Sequence && kept[i].Stored.Equal(own.Stored) {
		return nil
	}
	return c.repairWatermark(ctx, kept[i], own, opened)
}

// repairWatermark stores the watermark of this process again if the stream has its event, and that
// which is kept lies below, or is of an event that the stream does not have.
func (c *Cursor) repairWatermark(ctx context.Context, kept, own dedupe.Watermark, opened uint64) error {
	if kept.Sequence >= own.Sequence {
		state, err := c.lookUpWatermark(ctx, kept)
		if err != nil {
			return err
		}
		if state != pointReplaced {
			c.adoptWatermark(opened, kept)
			return nil
		}
	}
	state, err := c.lookUpWatermark(ctx, own)
	if err != nil || state != pointSame {
		return err
	}
	c.o.Log.Info("storing the group's watermark again: another process had set it back, or to an event that the stream does not have",
		"topic", c.o.Topic, "group", c.o.Group, "stream", own.Stream, "from", kept.Sequence, "to", own.Sequence)
	_, err = c.watermarks.Replace(ctx, c.o.Group, c.o.Topic, kept, own)
	return err // whoever has replaced it meanwhile
}

// lookUpWatermark returns what a stream has at a watermark. An event beyond the end of the stream
// is replaced. Of a bus that cannot look up events nothing is known, as if the event was gone.
func (c *Cursor) lookUpWatermark(ctx context.Context, w dedupe.Watermark) (pointState, error) {
	states, err := c.lookUpPoints(ctx, w.Stream, []dedupe.Point{pointAt(w.Position)})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return pointGone, nil
	case err != nil:
		return pointGone, err
	case states[0] != pointGone || w.Sequence == 0:
		return states[0], nil
	}
	info, err := c.o.Bus.Topic(ctx, c.o.Topic, c.o.Group, c.o.From)
	if err == nil && info.Last.Sequence < w.Sequence {
		return pointReplaced, nil
	}
	return pointGone, err
}
