package bus

import (
	"context"
	"time"
)

// Source hands out the deliveries of one group. Fetch is for one caller at a time; the other
// methods, and the Deliveries' own, are safe for concurrent use beside it.
type Source interface {
	// Fetch waits, at most about a second, for a first delivery and returns what there is then,
	// usually up to max: what an earlier call asked for and the bus hands over only now is returned
	// as well. Nothing within that second is no error. A max of 0 asks for nothing more: it waits
	// for what earlier calls asked for, and returns none once all that came, or can come no more. A
	// call is not cancelled half-way: what the bus handed over is returned, for the caller to nak;
	// ctx ends only the waiting.
	//
	// ErrConsumerLost: the group's cursor is gone; subscribe again with SubscribeOptions.Resume.
	// ErrClosed: the Source or the connection was closed for good. Other errors pass: the caller
	// waits a little and calls again.
	Fetch(ctx context.Context, max int) ([]*Delivery, error)
	// Info costs a round trip.
	Info(ctx context.Context) (Info, error)
	// Healthy says why deliveries may not be coming, as far as the Source knows without asking:
	// disconnected, no progress though events are pending. Nil: nothing is known to be wrong. It
	// does not block.
	Healthy() error
	// Close flushes settlements and ends the Source; the group's cursor stays. Fetch then
	// returns ErrClosed. What was fetched and is unsettled comes again after its deadline.
	// Repeated calls do nothing.
	Close(ctx context.Context) error
}

// Info is the state of a group's cursor.
type Info struct {
	// Stream is the incarnation of the stream, as in Position.
	Stream string
	// Floor: all at or below this sequence is settled, by the bus's own count.
	Floor uint64
	// Pending is how many events were never delivered to the group yet.
	Pending uint64
	// Unsettled is how many deliveries are out, including those that wait for the delay of their
	// nak. At MaxUnsettled the bus delivers no new events. MaxUnsettled grows with what waits, as
	// far as the bus allows.
	Unsettled, MaxUnsettled uint64
	// Lost is an upper bound of what the stream dropped (retention, purge) before this
	// group handled it.
	Lost uint64
	// AckWait is the deadline in force.
	AckWait time.Duration
	// Now is what time it is by the clock that events are stored by. Zero: unknown.
	Now time.Time
}
