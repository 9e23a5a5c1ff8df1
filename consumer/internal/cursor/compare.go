package cursor

import (
	"context"
	"errors"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// comparison is what a stream still has of a watermark and its trail.
type comparison struct {
	unknown  bool         // the bus cannot look up events
	newest   dedupe.Point // the newest of them that is stored; Sequence 0: none is
	whole    bool         // that is the watermark's own
	replaced bool         // the stream has other events, or none yet, where these were
}

// compare looks for the events of a watermark and its trail in the stream as it is now.
func (c *Cursor) compare(ctx context.Context, info *bus.TopicInfo, w dedupe.Watermark) (comparison, error) {
	if w.Sequence == 0 {
		return comparison{}, nil
	}
	short := info.Last.Sequence < w.Sequence
	own := point(w.Position)
	here, err := c.look(ctx, info, []dedupe.Point{own})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return comparison{unknown: true, replaced: short}, nil
	case err != nil:
		return comparison{}, err
	case here[0] == same:
		return comparison{newest: own, whole: true}, nil
	}
	all, err := c.look(ctx, info, w.Trail)
	if err != nil {
		return comparison{}, err
	}
	found := comparison{replaced: short || here[0] == other}
	for i, p := range w.Trail {
		if all[i] == other {
			found.replaced = true
			break
		}
		if all[i] == same {
			found.newest = p
		}
	}
	return found, nil
}

// finding is what a stream has under the sequence of a point.
type finding int

const (
	none  finding = iota // no event
	same                 // that of the point
	other                // one that was stored at another time
)

func (c *Cursor) look(ctx context.Context, info *bus.TopicInfo, points []dedupe.Point) ([]finding, error) {
	finder, ok := c.o.Bus.(bus.Finder)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	at := make([]bus.Position, len(points))
	for i, p := range points {
		at[i] = bus.Position{Stream: info.Start.Stream, Sequence: p.Sequence, Stored: p.Stored}
	}
	stored, err := finder.Find(ctx, at)
	if err != nil {
		return nil, err
	}
	out := make([]finding, len(points))
	for i, t := range stored {
		switch {
		case t.IsZero():
		case t.Equal(points[i].Stored):
			out[i] = same
		default:
			out[i] = other
		}
	}
	return out, nil
}

// left is what a watermark is in the stream: itself, or, where other events have taken its place,
// the newest point of its trail that is still there.
func (f *comparison) left(w dedupe.Watermark) dedupe.Watermark {
	if f.replaced {
		return cut(w, f.newest)
	}
	return w
}

// resume is where a consumer is made that was lost, in a stream in which the watermark
// still counts.
func (f *comparison) resume(w dedupe.Watermark, info *bus.TopicInfo) bus.Position {
	switch {
	case f.unknown:
		return bus.Position{Stream: w.Stream, Stored: w.Stored.Add(-margin)}
	case info.First.Sequence == 0 || info.First.Sequence > w.Sequence:
		return bus.Position(w.Position) // Nothing is left up to there: what is gone beyond was not handled.
	}
	return bus.Position{Stream: w.Stream, Sequence: f.newest.Sequence, Stored: f.newest.Stored}
}
