package dedupe

import (
	"context"
	"time"
)

// Position is a sequence in one incarnation of a stream, and when the event there was stored.
type Position struct {
	// Stream is the stream's name and time of creation.
	Stream   string
	Sequence uint64
	Stored   time.Time
}

// Watermarker keeps, per group, subscribed topic and incarnation of a stream, the bus's own settled floor. It is
// found by assertion on a Store. What it keeps never expires. Times are kept to the nanosecond. Safe for concurrent use; every
// call may be repeated.
type Watermarker interface {
	// Begin keeps at as where the group starts, unless something is kept for this stream already, and returns what is kept. A
	// group that is known on this topic in another stream, or another incarnation of it, starts at the
	// first event instead: at.Sequence and at.Stored are kept as zero.
	Begin(ctx context.Context, group, topic string, at Position) (Position, error)
	// Advance moves what is kept for at.Stream forward: it changes nothing when the kept sequence is above
	// at.Sequence, or when nothing is kept for the stream. A kept Stored never moves back; at the same sequence the later one is
	// kept, for another process may have seen what this one has not.
	Advance(ctx context.Context, group, topic string, at Position) error
}
