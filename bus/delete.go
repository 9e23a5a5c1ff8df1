package bus

import "context"

// Deleter is an ability of a Bus, found by assertion: it deletes single events for good, for every
// group. Its methods are safe for concurrent use, block for a round trip or two, and are not
// retried; every call may be repeated.
type Deleter interface {
	// DeleteEvent returns nil once the event at the position is no longer stored, also if it was
	// gone before. Like Finder it looks at the stream's name, and tells the event by its stored
	// time: if another one lies there, nothing is deleted, and it is ErrStreamReplaced. A stream
	// that does not exist is ErrNoStream. errors.ErrUnsupported is returned where the Bus may not
	// delete events, for want of a permission or because the stream denies it.
	DeleteEvent(ctx context.Context, at Position) error
}
