package explain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/cloudevents"
)

// eventCopy is a stored message of the event.
type eventCopy struct {
	bus.Stored

	control bus.Control
	loaded  bool // with its data
}

const (
	// maxCopies bounds how many copies a story has.
	maxCopies = 100
	// progressEvery is after how many events Query.Progress is called.
	progressEvery = 10_000
)

// findCopies reads the topic for copies of the event.
func (b *storyBuilder) findCopies(ctx context.Context) error {
	if b.noStream {
		b.addMissing("when it was published is not known, because the topic has no stream")
		return nil
	}
	from, err := b.whereToRead(ctx)
	if err != nil {
		return err
	}
	if err := b.readCopies(ctx, from); err != nil {
		return err
	}
	if len(b.copies) == 0 && from.After.Sequence > 0 && b.q.Sequence == 0 {
		if err := b.readCopies(ctx, bus.From{}); err != nil { // it was restored, or deleted and published again
			return err
		}
	}
	if err := b.takeSource(); err != nil {
		return err
	}
	if from.After.Sequence > 0 && len(b.copies) > 0 {
		b.addMissing("copies before sequence %d are not known, because the topic was read from there on", from.After.Sequence+1)
	}
	for i := range b.copies {
		b.load(ctx, &b.copies[i])
		b.addCopy(i)
	}
	if len(b.copies) == 0 {
		b.addMissing("when it was published is not known, because %s", b.whyNoCopy())
	}
	return ctx.Err()
}

func (b *storyBuilder) whyNoCopy() string {
	if !b.q.From.IsZero() {
		return "the topic has no event of this id that was stored since " + b.q.From.UTC().Format(time.RFC3339)
	}
	return "the stream has no event of this id: it was never stored, or was dropped since"
}

// whereToRead is before the first copy that the store or a letter names, or where the query says.
func (b *storyBuilder) whereToRead(ctx context.Context) (bus.From, error) {
	first := b.q.Sequence
	switch {
	case !b.q.From.IsZero():
		return bus.From{Time: b.q.From}, nil
	case first == 0:
		var err error
		if first, err = b.firstAttempted(ctx); err != nil {
			return bus.From{}, err
		}
		if l := b.ownLetter(); l != nil {
			first = earlier(first, l.At.Sequence)
		}
	}
	if first == 0 {
		return bus.From{}, nil
	}
	from, err := b.sources.after(ctx, b.bus, b.q.Topic, first-1)
	if errors.Is(err, bus.ErrNoEvent) { // the stream was restored
		return bus.From{}, nil
	}
	return from, err
}

// firstAttempted is the sequence of the first copy that the event's row names; 0: it names none. It
// takes the event to know the row in a group that has ids of its own.
func (b *storyBuilder) firstAttempted(ctx context.Context) (first uint64, err error) {
	if b.hasOwnIDs() {
		return 0, nil
	}
	entries, err := b.sources.inspect(ctx, b.sources.keyOf(nil, b.event()))
	if err != nil {
		return 0, err
	}
	for _, a := range entries[0].History {
		first = earlier(first, a.Sequence)
	}
	return first, nil
}

// earlier is the smaller of two sequences, of which zero is none.
func earlier(a, b uint64) uint64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// readCopies reads headers, and from the first event on that cannot be read without its data, all.
func (b *storyBuilder) readCopies(ctx context.Context, from bus.From) error {
	r := bus.Range{From: from, Partitions: true, HeadersOnly: true}
	for {
		again, err := b.readRange(ctx, &r)
		if !again {
			return err
		}
		r.HeadersOnly = false
	}
}

// readRange looks for copies, and moves the beginning of the range along. It ends before an event
// that cannot be read without its data, and reports so.
func (b *storyBuilder) readRange(ctx context.Context, r *bus.Range) (again bool, err error) {
	for stored, err := range b.bus.Read(ctx, b.q.Topic, *r) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return false, err
		}
		if stored.Malformed != nil && r.HeadersOnly {
			return true, nil
		}
		r.From = bus.From{After: stored.At}
		b.countRead()
		if !b.isCopy(&stored.Event) {
			continue
		}
		if len(b.copies) == maxCopies {
			b.addMissing("copies behind sequence %d are not known, because there are more than %d", b.copies[maxCopies-1].At.Sequence, maxCopies)
			return false, nil
		}
		b.copies = append(b.copies, eventCopy{Stored: stored})
	}
	return false, nil
}

// countRead counts an event that was read, and reports so now and then.
func (b *storyBuilder) countRead() {
	if b.read++; b.read%progressEvery == 0 && b.q.Progress != nil {
		b.q.Progress(b.read)
	}
}

// isCopy reports whether an event has the id, and the source, if that is asked for.
func (b *storyBuilder) isCopy(e *bus.Event) bool {
	return e.ID == b.story.ID && (b.story.Source == "" || cloudevents.SourceOf(e) == b.story.Source)
}

// takeSource makes sure that the copies are of one event.
func (b *storyBuilder) takeSource() error {
	for i := range b.copies {
		e := &b.copies[i].Event
		if e.Identity() != b.copies[0].Event.Identity() {
			first := b.copies[0]
			return fmt.Errorf("%w: sequence %d has the source %q, sequence %d the source %q: name one", ErrAmbiguous,
				first.At.Sequence, cloudevents.SourceOf(&first.Event), b.copies[i].At.Sequence, cloudevents.SourceOf(e))
		}
	}
	if l := b.ownLetter(); len(b.copies) == 0 && l != nil {
		b.story.Source = l.Event.Source
	}
	if len(b.copies) > 0 {
		b.story.Source, b.story.Key = b.copies[0].Event.Source, b.copies[0].Event.Key
	}
	return nil
}

// load completes a copy with its data, and reads for whom it is.
func (b *storyBuilder) load(ctx context.Context, c *eventCopy) {
	e, err := b.bus.Get(ctx, c.At)
	if err != nil {
		return // it is gone, or may not be looked up: its headers are known
	}
	c.Event, c.loaded = e, true
	c.control, _ = e.Control() // of another event: means nothing
}

// hash is the fingerprint of a copy, unless the group has one of its own; nil: it is not known.
func (c *eventCopy) hash() []byte {
	if !c.loaded {
		return nil
	}
	return payloadHash(&c.Event)
}

// addCopy adds the line of the i-th copy.
func (b *storyBuilder) addCopy(i int) {
	c := &b.copies[i]
	l := Line{
		Time: c.At.Stored, Source: FromStream, Event: "published", Scope: c.control.Again,
		Position: c.At.String(), Sequence: c.At.Sequence, Bytes: len(c.Event.Data), Group: c.control.Group, Letter: c.control.Redriven,
	}
	differs := i > 0 && dedupe.Differ(c.hash(), b.copies[0].hash())
	switch {
	case c.control.Redriven != "":
		l.Event, l.Text = "redriven", fmt.Sprintf("redriven for group %s from letter %s", clip(c.control.Group), clip(c.control.Redriven))
		if differs {
			l.Text += ", as it was edited"
		}
	case c.control.Group != "":
		l.Event, l.Text = "replayed", "replayed for group "+clip(c.control.Group)
	case differs:
		l.Event, l.Text = "reused", "another event was published under this id: its data differs"
	case i > 0:
		l.Event, l.Text = "copied", "another copy was published"
	default:
		l.Text = "published"
	}
	l.Text += inScope(c.control.Again)
	if !b.isOwn(c) {
		l.Text += ", which this group acknowledges unrun"
	}
	l.Text += fmt.Sprintf(", stored at sequence %d", c.At.Sequence)
	if p, ok := bus.ParsePartition(c.Event.Topic); ok {
		l.Text += fmt.Sprintf(" in partition %d of %d", p.Number, p.Of)
	}
	if e := &c.Event; c.loaded {
		l.Text += fmt.Sprintf(": source %s, type %s, %d bytes", clip(cloudevents.SourceOf(e)), clip(cloudevents.TypeOf(e)), len(e.Data))
	}
	b.addLine(l)
}
