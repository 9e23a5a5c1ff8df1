package bus

import "context"

// Deleter is an ability of a Bus, found by assertion: it deletes single events for good, for every
// group. Its methods are safe for concurrent use, block for a few round trips, and are not retried;
// every call may be repeated.
type Deleter interface {
	// DeleteEvents returns one error for each position: nil once its event is no longer stored,
	// also if it was gone before. Like Finder it looks at the stream's name, and tells an event by
	// its stored time: if another one lies there, nothing is deleted, and it is ErrStreamReplaced.
	//
	// Positions with the same Stream that are given together must come from one read of it. A
	// stream only grows, so where the last of them still has its event, the bus may take those
	// before it for unchanged.
	//
	// A stream that does not exist is ErrNoStream. errors.ErrUnsupported is returned where the Bus
	// may not delete events, for want of a permission or because the stream denies it.
	DeleteEvents(ctx context.Context, at []Position) []error
}
