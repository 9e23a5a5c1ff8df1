package replay

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/onceish/onceish/bus"
)

// LeftOut counts the events that a filter selects and a replay leaves out.
type LeftOut struct {
	// Malformed messages could not be read as events.
	Malformed int
	// Copies are events that were stored for one group alone, by a redrive or a replay: they are
	// where the event is that they are copies of.
	Copies int
	// Letters are dead letters and parts of some: they are redriven.
	Letters int
}

// selector decides what of a stream is replayed.
type selector struct {
	filter     Filter
	failed     func(bus.Position, error) // never nil
	leftOut    LeftOut
	dropped    uint64
	incomplete error
}

func newSelector(f Filter, failed func(bus.Position, error)) selector {
	if failed == nil {
		failed = func(bus.Position, error) {}
	}
	return selector{filter: f, failed: failed}
}

// noteDropped reports whether an error says no more than that the stream has dropped events.
func (s *selector) noteDropped(err error) bool {
	dropped, ok := errors.AsType[*bus.DroppedError](err)
	if ok {
		s.dropped += dropped.Count()
		s.incomplete = fmt.Errorf("%w: %w", ErrIncomplete, dropped)
	}
	return ok
}

// selects reports whether an event is replayed, and counts it otherwise.
func (s *selector) selects(stored *bus.Stored) bool {
	if !s.filter.Matches(&stored.Event) {
		return false
	}
	control, _ := stored.Event.Control() // zero if it is another event's
	switch {
	case stored.Malformed != nil:
		s.leftOut.Malformed++
		s.failed(stored.At, fmt.Errorf("sequence %d is left out, for it cannot be read as an event: %w", stored.At.Sequence, stored.Malformed))
	case control.Letter != "":
		s.leftOut.Letters++
	case control.Group != "":
		s.leftOut.Copies++
	default:
		return true
	}
	return false
}

// readHeaders reads events without their data up to the first one that cannot be understood without
// it, and from there on with data: control headers are bound to the data, and the attributes of an
// event may be in it.
func readHeaders(ctx context.Context, reader bus.Reader, topic string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		headers, needsData := r, false
		headers.HeadersOnly = true
		for s, err := range reader.Read(ctx, topic, headers) {
			if needsData = err == nil && !understood(&s); needsData {
				break
			}
			if !yield(s, err) {
				return
			}
			if err == nil {
				r.From = bus.From{After: s.At}
			}
		}
		if !needsData {
			return
		}
		for s, err := range reader.Read(ctx, topic, r) {
			if !yield(s, err) {
				return
			}
		}
	}
}

func understood(s *bus.Stored) bool {
	_, err := s.Event.Control()
	return err == nil && s.Malformed == nil
}
