package bus

import "context"

// Cursor is a group's cursor on a topic.
type Cursor struct {
	// Topic is what the group subscribed to: it may be a pattern, or a partition's subject.
	Topic string
	// Pending is the number of events that were never delivered to the group, Unsettled that of
	// deliveries that are not settled, as in Info.
	Pending, Unsettled uint64
}

// CursorLister is an ability of a Bus, found by assertion: it lists the cursors of a group.
type CursorLister interface {
	// Cursors returns the group's cursors, by topic. It blocks for the bus, is safe for concurrent
	// use, and does not retry. What was published just now may not be counted as pending yet.
	// errors.ErrUnsupported is returned where the Bus may not look, for example for want of a
	// permission.
	Cursors(ctx context.Context, group string) ([]Cursor, error)
}
