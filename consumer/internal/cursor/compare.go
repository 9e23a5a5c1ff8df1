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
	replaced bool         // the stream has other events where these were, or none yet
}

// compareStream looks for the events of a watermark and its trail in the stream as it is now.
func (c *Cursor) compareStream(ctx context.Context, info *bus.TopicInfo, w dedupe.Watermark) (comparison, error) {
	if w.Sequence == 0 {
		return comparison{}, nil
	}
	short := info.Last.Sequence < w.Sequence
	own := pointAt(w.Position)
	here, err := c.lookUpPoints(ctx, info.Start.Stream, []dedupe.Point{own})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return comparison{unknown: true, replaced: short}, nil
	case err != nil:
		return comparison{}, err
	case here[0] == pointSame:
		return comparison{newest: own}, nil
	}
	all, err := c.lookUpPoints(ctx, info.Start.Stream, w.Trail)
	if err != nil {
		return comparison{}, err
	}
	found := comparison{replaced: short || here[0] == pointReplaced}
	for i, p := range w.Trail {
		if all[i] == pointReplaced {
			found.replaced = true
			break
		}
		if all[i] == pointSame {
			found.newest = p
		}
	}
	return found, nil
}

// pointState is what a stream has under the sequence of a point of a trail.
type pointState int

const (
	pointGone     pointState = iota // no event
	pointSame                       // that of the point
	pointReplaced                   // one that was stored at another time
)

func (c *Cursor) lookUpPoints(ctx context.Context, stream string, points []dedupe.Point) ([]pointState, error) {
	finder, ok := c.o.Bus.(bus.Finder)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	at := make([]bus.Position, len(points))
	for i, p := range points {
		at[i] = bus.Position{Stream: stream, Sequence: p.Sequence, Stored: p.Stored}
	}
	stored, err := finder.Find(ctx, at)
	if err != nil {
		return nil, err
	}
	out := make([]pointState, len(points))
	for i, t := range stored {
		switch {
		case t.IsZero():
		case t.Equal(points[i].Stored):
			out[i] = pointSame
		default:
			out[i] = pointReplaced
		}
	}
	return out, nil
}

// remainingWatermark is what is left of a watermark in the stream: itself, or, where other events
// have taken its place, the newest point of its trail that is still there.
func (f *comparison) remainingWatermark(w dedupe.Watermark) dedupe.Watermark {
	if !f.replaced {
		return w
	}
	back := dedupe.Watermark{Position: dedupe.Position{Stream: w.Stream, Sequence: f.newest.Sequence, Stored: f.newest.Stored}}
	for _, p := range w.Trail {
		if p.Sequence < f.newest.Sequence {
			back.Trail = append(back.Trail, p)
		}
	}
	return back
}

// resumePosition is where a lost consumer is recreated, in a stream in which the watermark still
// holds.
func (f *comparison) resumePosition(w dedupe.Watermark, info *bus.TopicInfo) bus.Position {
	switch {
	case f.unknown:
		return bus.Position{Stream: w.Stream, Stored: w.Stored.Add(-margin)}
	case info.First.Sequence == 0 || info.First.Sequence > w.Sequence:
		return bus.Position(w.Position) // what is gone beyond it was not handled
	}
	return bus.Position{Stream: w.Stream, Sequence: f.newest.Sequence, Stored: f.newest.Stored}
}

func pointAt(at dedupe.Position) dedupe.Point {
	return dedupe.Point{Sequence: at.Sequence, Stored: at.Stored}
}
