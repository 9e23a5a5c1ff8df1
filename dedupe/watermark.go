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

// Point is an event of a stream: its sequence, and when it was stored. The two together tell it
// from whatever else may lie under its sequence after the stream was restored from a copy.
type Point struct {
	Sequence uint64
	Stored   time.Time
}

// Watermark is an event of a stream that was settled, as was all below it: for its group nothing at
// or below it is left to do. Sequence 0 stands for nothing; Stored is then where the group starts,
// and zero means at the first event.
type Watermark struct {
	Position

	// Trail are earlier watermarks of the stream, ascending by sequence and ever sparser.
	// They tell how much of a stream that was restored from an older copy is still what the
	// group has handled.
	Trail []Point
}

// Watermarker keeps a Watermark per group, subscribed topic and incarnation of a stream. It is
// found by assertion on a Store. What it keeps never expires. Times are kept to the
// nanosecond. Its methods block for a round trip or two and are safe for concurrent use; every
// call may be repeated.
type Watermarker interface {
	// Watermarks returns all that is kept for the group on the topic, one for each incarnation of a
	// stream, in the order in which they were begun.
	Watermarks(ctx context.Context, group, topic string) ([]Watermark, error)
	// Begin keeps at, unless something is kept for at.Stream already, and returns what is kept for
	// it. Of callers that begin at once one decides, and all are told the same.
	Begin(ctx context.Context, group, topic string, at Watermark) (Watermark, error)
	// Advance moves what is kept for at.Stream forward to at. It changes nothing when the kept
	// sequence is at.Sequence or above, or when nothing is kept for the stream.
	Advance(ctx context.Context, group, topic string, at Watermark) error
	// Replace keeps now instead of was, and reports true, if the sequence and the stored time that
	// are kept for was.Stream are still those of was. It is the only way back: for a stream that no
	// longer has what was. Both are of the same stream. A call that is repeated after an error may
	// report false although the first one took effect.
	Replace(ctx context.Context, group, topic string, was, now Watermark) (bool, error)
}
