package bus

import (
	"context"
	"time"
)

// Finder is an ability of a Bus, found by assertion: it looks up what is stored under a sequence.
// Its methods are safe for concurrent use, block for a round trip, and are not retried. Of
// Position.Stream they look at the stream's name alone, not at its time of creation: a stream that
// was restored from a copy has another one, and the same events.
//
// errors.ErrUnsupported is returned where the Bus may not look at single events, for example for
// want of a permission.
type Finder interface {
	// Find returns, for each position, when the event was stored that lies under its sequence now.
	// Zero: there is none. A stream that does not exist is ErrNoStream.
	Find(ctx context.Context, at []Position) ([]time.Time, error)
	// Get returns the event that lies at the position, as a Delivery of it would carry it. It is
	// ErrNoEvent if there is none, or another one, which was stored at another time. What could not
	// be read as an event comes with an error that is not ErrNoEvent, as in Delivery.Malformed.
	Get(ctx context.Context, at Position) (Event, error)
}

// NextFinder is an ability of a Bus, found by assertion, like Finder: it looks up the event that
// comes next, at the cost of a single request.
type NextFinder interface {
	// FindNext returns the position of the first event of a topic, which may be a pattern, behind
	// the sequence of a position. Zero: there is none.
	FindNext(ctx context.Context, pattern string, after Position) (Position, error)
}

// LayoutFinder is an ability of a Bus, found by assertion, like Finder: it finds in which layouts a
// topic was published.
type LayoutFinder interface {
	// FindLayouts returns, in order, the numbers of partitions in which a topic has events of its
	// own in the stream of a position, and the one in which the stream maps what others publish. It
	// takes a request or two, whose answer names each partition.
	FindLayouts(ctx context.Context, topic string, in Position) ([]int, error)
}

// Exists reports for each position whether its event is still stored: there is one under its
// sequence, and it was stored at its time. It costs what Finder.Find does.
func Exists(ctx context.Context, f Finder, at []Position) ([]bool, error) {
	stored, err := f.Find(ctx, at)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(at))
	for i := range at {
		out[i] = !stored[i].IsZero() && stored[i].Equal(at[i].Stored)
	}
	return out, nil
}
