package bus

import (
	"context"
	"time"
)

// Source hands out the deliveries of one group. Only one goroutine may call Fetch at a time; the
// other methods, and those of Deliveries, are safe for concurrent use.
type Source interface {
	// Fetch waits up to about a second for a first delivery, and returns what is there then,
	// usually up to max; what an earlier call requested and the bus delivers only now is returned
	// as well. No delivery within that second is not an error. A max of 0 requests nothing: Fetch
	// then waits for what earlier calls requested, and returns none once all of it has come, or
	// can no longer come. ctx ends the waiting only: what the bus has handed over is returned, for
	// the caller to nak.
	//
	// ErrConsumerLost: the group's cursor is gone; subscribe again with SubscribeOptions.Resume. Or
	// the Source was opened with Rewind and missed a delivery; subscribe again with both.
	// ErrClosed: the Source or the connection was closed for good. Other errors are transient: the
	// caller waits a little and calls again.
	Fetch(ctx context.Context, max int) ([]*Delivery, error)
	// Info returns the state of the group's cursor. It takes a round trip.
	Info(ctx context.Context) (Info, error)
	// Healthy returns why deliveries may not be coming, as far as the Source knows without a round
	// trip: disconnected, no progress although events are pending. Nil means that nothing is known
	// to be wrong. It does not block.
	Healthy() error
	// Close flushes answers and ends the Source; the group's cursor stays. Fetch then returns
	// ErrClosed. Deliveries that are not answered are redelivered after their deadline. Repeated
	// calls do nothing.
	Close(ctx context.Context) error
}

// Info is the state of a group's cursor.
type Info struct {
	// Stream is the incarnation of the stream, as in Position.
	Stream string
	// Floor is the sequence up to which everything is settled, by the bus's own count.
	Floor uint64
	// Pending is the number of events that were never delivered to the group.
	Pending uint64
	// Unsettled is the number of deliveries that are not settled, including those that wait for
	// the delay of their nak. At MaxUnsettled the bus delivers no new events. MaxUnsettled grows
	// with what waits, as far as the bus allows.
	Unsettled, MaxUnsettled uint64
	// Lost is an upper bound of the events that the stream dropped (retention, purge) before this
	// group handled them.
	Lost uint64
	// AckWait is the deadline in force.
	AckWait time.Duration
	// PausedFor is for how much longer the bus itself delivers nothing to the group, because
	// somebody paused it there. Zero: it is not paused, or the bus has no such pause.
	PausedFor time.Duration
	// Now is the time by the clock that stamps stored events. Zero: unknown.
	Now time.Time
}
