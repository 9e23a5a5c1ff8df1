package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Reader is an ability of a Bus, found by assertion: it reads again what is stored. Reading settles
// nothing, and no group notices it. Its methods are safe for concurrent use.
type Reader interface {
	// Read returns the events of a topic, which may be a pattern, ordered by their sequence. The
	// topic must lie in one stream. Each iteration reads from the beginning of the range, holds a
	// bounded number of events however slowly it is consumed, and leaves nothing running. It blocks
	// for the bus; what passes, such as a restart of the server, it retries for about 20 s without
	// progress.
	//
	// No event of the range is left out in silence. Where the stream dropped events before they
	// were read, the iteration yields a *DroppedError and goes on with the events behind them.
	// Every other error is the last thing that it yields: ErrStreamReplaced, ErrNoStream,
	// ErrNoEvent for an unknown From.AfterID, errors.ErrUnsupported where the Bus may not read, the
	// cause of the end of ctx, or the bus's own.
	Read(ctx context.Context, pattern string, r Range) iter.Seq2[Stored, error]
}

// Stored is an event that was read.
type Stored struct {
	// Event must not be changed. Its Data is nil if Range.HeadersOnly is set.
	Event Event
	// At is the event's position. A later Read can continue after it.
	At Position
	// Malformed is why the message could not be read as an event, as in Delivery.Malformed.
	Malformed error
}

// Original is the position of the event that this one is a copy of, if its control headers say so,
// and At otherwise.
func (s *Stored) Original() Position {
	control, err := s.Event.Control()
	if err != nil {
		return s.At
	}
	return control.OriginalOr(s.At)
}

// Range of Reader.Read. The zero Range is what the stream has when the read begins.
type Range struct {
	From  From
	Until Until
	// Partitions also reads the events of the topic that lie on its partitions, in any layout, with
	// the topic that they are stored under. It means nothing for a pattern, and for a partition.
	// All of them must lie in one stream. The bus may pass over what lies two and more tokens below
	// the topic, which takes longer where that is much.
	Partitions bool
	// HeadersOnly reads events without their data. Where the bus keeps attributes of an event in
	// its data (a CloudEvent in structured mode), the event is Malformed without it.
	HeadersOnly bool
}

// From is where a read begins. The zero From is the earliest event; at most one field is set.
type From struct {
	// Time begins at the first event that was stored at or after it.
	Time time.Time
	// After begins at the first event after the position.
	After Position
	// AfterID begins after the first event with this ID. It is looked for from the earliest event
	// on, which takes as long as reading that far.
	AfterID string
}

// Until is where a read ends. The zero Until is the end of the stream as it was when the read
// began; at most one field is set.
type Until struct {
	// Time ends before the first event that was stored at or after it, or else at the end as it
	// was when the read began.
	Time time.Time
	// Position ends after its event, or else at the end as it was when the read began.
	Position Position
	// Follow waits for further events until ctx ends.
	Follow bool
}

// Validate says why a range cannot be read.
func (r *Range) Validate() error {
	from := countSet(!r.From.Time.IsZero(), r.From.After != (Position{}), r.From.AfterID != "")
	until := countSet(!r.Until.Time.IsZero(), r.Until.Position != (Position{}), r.Until.Follow)
	switch {
	case from > 1:
		return fmt.Errorf("Range.From has %d fields set (%+v): set one at most", from, r.From)
	case until > 1:
		return fmt.Errorf("Range.Until has %d fields set (%+v): set one at most", until, r.Until)
	case r.From.After != (Position{}) && r.From.After.Sequence == 0:
		return fmt.Errorf("Range.From.After %q has no sequence: give one above 0, or set Range.From.Time", r.From.After)
	case r.Until.Position != (Position{}) && r.Until.Position.Sequence == 0:
		return fmt.Errorf("Range.Until.Position %q has no sequence: give one above 0, or set Range.Until.Time", r.Until.Position)
	case !r.From.Time.IsZero() && !r.Until.Time.IsZero() && r.Until.Time.Before(r.From.Time):
		return fmt.Errorf("Range.Until.Time %v is before Range.From.Time %v: exchange them", r.Until.Time, r.From.Time)
	}
	return nil
}

// FindTopic is Bus.Topic of what a read with Range.Partitions covers: also of a topic that lies on
// its partitions alone.
func FindTopic(ctx context.Context, b TopicFinder, topic, group string, from Start) (TopicInfo, error) {
	info, err := b.Topic(ctx, topic, group, from)
	if errors.Is(err, ErrNoStream) && !hasWildcard(topic) {
		if partitions, lies := b.Topic(ctx, PartitionsOf(topic), group, from); lies == nil {
			return partitions, nil
		}
	}
	return info, err
}

// TopicFinder is the part of a Bus that FindTopic takes.
type TopicFinder interface {
	Topic(ctx context.Context, topic, group string, from Start) (TopicInfo, error)
}

// Filters is for implementers of a bus. It returns the patterns that a read of a topic takes, of
// which no two overlap. With Partitions they cover more than what is read, see Selects.
func (r *Range) Filters(topic string) []string {
	if r.coversPartitions(topic) {
		return []string{topic, PartitionsOf(topic)}
	}
	return []string{FilterOf(topic)}
}

// Selects is for implementers of a bus. It reports whether a read of a topic, which may be a
// pattern, has an event that its Filters cover.
func (r *Range) Selects(topic, stored string) bool {
	return !r.coversPartitions(topic) || LogicalTopic(stored) == topic
}

func (r *Range) coversPartitions(topic string) bool {
	return r.Partitions && !hasWildcard(topic) && LogicalTopic(topic) == topic
}

func countSet(set ...bool) (n int) {
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

// DroppedError reports that the stream dropped events (age, size, purge) before they were read.
type DroppedError struct {
	// Stream is the incarnation of the stream, as in Position.
	Stream string
	// First and Last are the sequences between which nothing is stored any more, both included.
	First, Last uint64
}

// Count is an upper bound of the events that were dropped: some of the sequences may have been of
// other topics, or deleted earlier.
func (e *DroppedError) Count() uint64 { return e.Last - e.First + 1 }

// Error names the stream and the sequences.
func (e *DroppedError) Error() string {
	return fmt.Sprintf("stream %q dropped up to %d events before they were read: sequences %d to %d", e.Stream, e.Count(), e.First, e.Last)
}

// Resolve is for implementers of a bus. It validates the range, and replaces From.AfterID by the
// position of the first event with that ID, for which it reads the pattern from the earliest event.
func (r Range) Resolve(ctx context.Context, reader Reader, pattern string) (Range, error) {
	if err := r.Validate(); err != nil || r.From.AfterID == "" {
		return r, err
	}
	for s, err := range reader.Read(ctx, pattern, Range{Partitions: r.Partitions}) {
		if _, dropped := err.(*DroppedError); dropped { //nolint:errorlint // Read yields it as it is
			continue
		}
		if err != nil {
			return r, err
		}
		if s.Event.ID == r.From.AfterID {
			r.From = From{After: s.At}
			return r, nil
		}
	}
	return r, fmt.Errorf("event %.64q, after which to read %q: %w", r.From.AfterID, pattern, ErrNoEvent)
}

// In is for implementers of a bus. It returns ErrStreamReplaced, with the reason, if a position of
// the range does not belong to a stream that is this incarnation and whose last sequence is this.
func (r *Range) In(stream string, last uint64) error {
	until := r.Until.Position
	until.Sequence = 0 // An end beyond the end of the stream is none.
	for _, p := range []Position{r.From.After, until} {
		if err := p.In(stream, last); err != nil {
			return fmt.Errorf("%w: %w", ErrStreamReplaced, err)
		}
	}
	return nil
}

// Ends reports whether an event at this position lies beyond the end of the range.
func (u Until) Ends(at Position) bool {
	return !u.Time.IsZero() && !at.Stored.Before(u.Time) || u.Position.Sequence > 0 && at.Sequence > u.Position.Sequence
}
