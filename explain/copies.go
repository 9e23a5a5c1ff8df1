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
	// maxCopies bounds how many copies are told of.
	maxCopies = 100
	// progressEvery is after how many events Query.Progress is called.
	progressEvery = 10_000
)

// findSequence learns the id of the event under Query.Sequence.
func (t *teller) findSequence(ctx context.Context) error {
	has, err := hasStream(ctx, t.bus, t.q.Topic)
	t.noStream = !has
	if t.q.Sequence == 0 || err != nil || t.noStream {
		return err
	}
	from, err := t.sources.after(ctx, t.bus, t.q.Topic, t.q.Sequence-1)
	if err != nil {
		return err
	}
	for stored, err := range t.bus.Read(ctx, t.q.Topic, bus.Range{From: from}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return err
		}
		if stored.At.Sequence != t.q.Sequence {
			break
		}
		t.nameCopy(&stored)
		return nil
	}
	return fmt.Errorf("sequence %d: %w on this topic", t.q.Sequence, bus.ErrNoEvent)
}

// nameCopy makes a copy that the query names the one that the story is about.
func (t *teller) nameCopy(stored *bus.Stored) {
	t.story.ID, t.story.Source, t.named = stored.Event.ID, stored.Event.Source, stored.At.Sequence
	if control, err := stored.Event.Control(); err == nil {
		t.scope = control.Again
	}
}

// findCopies reads the topic for copies of the event.
func (t *teller) findCopies(ctx context.Context) error {
	if t.noStream {
		t.addMissing("when it was published is not known, because the topic has no stream")
		return nil
	}
	from, err := t.whereToRead(ctx)
	if err != nil {
		return err
	}
	if err := t.readCopies(ctx, from); err != nil {
		return err
	}
	if len(t.copies) == 0 && from.After.Sequence > 0 && t.q.Sequence == 0 {
		if err := t.readCopies(ctx, bus.From{}); err != nil { // it was restored, or deleted and published again
			return err
		}
	}
	if err := t.takeSource(); err != nil {
		return err
	}
	if from.After.Sequence > 0 && len(t.copies) > 0 {
		t.addMissing("copies before sequence %d are not known, because the topic was read from there on", from.After.Sequence+1)
	}
	for i := range t.copies {
		t.load(ctx, &t.copies[i])
		t.addCopy(i)
	}
	if len(t.copies) == 0 {
		t.addMissing("when it was published is not known, because %s", t.whyNoCopy())
	}
	return ctx.Err()
}

func (t *teller) whyNoCopy() string {
	if !t.q.From.IsZero() {
		return "the topic has no event of this id that was stored since " + t.q.From.UTC().Format(time.RFC3339)
	}
	return "the stream has no event of this id: it was never stored, or was dropped since"
}

// whereToRead is before the first copy that the store or a letter names, or where the query says.
func (t *teller) whereToRead(ctx context.Context) (bus.From, error) {
	first := t.q.Sequence
	switch {
	case !t.q.From.IsZero():
		return bus.From{Time: t.q.From}, nil
	case first == 0:
		var err error
		if first, err = t.firstAttempted(ctx); err != nil {
			return bus.From{}, err
		}
		if l := t.ownLetter(); l != nil {
			first = earlier(first, l.At.Sequence)
		}
	}
	if first == 0 {
		return bus.From{}, nil
	}
	from, err := t.sources.after(ctx, t.bus, t.q.Topic, first-1)
	if errors.Is(err, bus.ErrNoEvent) { // the stream was restored
		return bus.From{}, nil
	}
	return from, err
}

// firstAttempted is the sequence of the first copy that the event's row names; 0: it names none. It
// takes the event to know the row in a group that has ids of its own.
func (t *teller) firstAttempted(ctx context.Context) (first uint64, err error) {
	if t.hasOwnIDs() {
		return 0, nil
	}
	entries, err := t.sources.inspect(ctx, t.sources.keyOf(nil, t.event()))
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
func (t *teller) readCopies(ctx context.Context, from bus.From) error {
	r := bus.Range{From: from, HeadersOnly: true}
	for {
		again, err := t.readRange(ctx, &r)
		if !again {
			return err
		}
		r.HeadersOnly = false
	}
}

// readRange looks for copies, and moves the beginning of the range along. It ends before an event
// that cannot be read without its data, and reports so.
func (t *teller) readRange(ctx context.Context, r *bus.Range) (again bool, err error) {
	for stored, err := range t.bus.Read(ctx, t.q.Topic, *r) {
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
		t.countRead()
		if !t.isCopy(&stored.Event) {
			continue
		}
		if len(t.copies) == maxCopies {
			t.addMissing("copies behind sequence %d are not known, because there are more than %d", t.copies[maxCopies-1].At.Sequence, maxCopies)
			return false, nil
		}
		t.copies = append(t.copies, eventCopy{Stored: stored})
	}
	return false, nil
}

// countRead counts an event that was read, and reports so now and then.
func (t *teller) countRead() {
	if t.read++; t.read%progressEvery == 0 && t.q.Progress != nil {
		t.q.Progress(t.read)
	}
}

// isCopy reports whether an event has the id, and the source, if that is asked for.
func (t *teller) isCopy(e *bus.Event) bool {
	return e.ID == t.story.ID && (t.story.Source == "" || cloudevents.SourceOf(e) == t.story.Source)
}

// takeSource makes sure that the copies are of one event.
func (t *teller) takeSource() error {
	for i := range t.copies {
		e := &t.copies[i].Event
		if e.Identity() != t.copies[0].Event.Identity() {
			first := t.copies[0]
			return fmt.Errorf("%w: sequence %d has the source %q, sequence %d the source %q: name one", ErrAmbiguous,
				first.At.Sequence, cloudevents.SourceOf(&first.Event), t.copies[i].At.Sequence, cloudevents.SourceOf(e))
		}
	}
	if l := t.ownLetter(); len(t.copies) == 0 && l != nil {
		t.story.Source = l.Event.Source
	}
	if len(t.copies) > 0 {
		t.story.Source, t.story.Key = t.copies[0].Event.Source, t.copies[0].Event.Key
	}
	return nil
}

// load completes a copy with its data, and reads for whom it is.
func (t *teller) load(ctx context.Context, c *eventCopy) {
	e, err := t.bus.Get(ctx, c.At)
	if err != nil {
		return // it is gone, or may not be looked up: its headers are told of
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

// addCopy tells of the i-th copy.
func (t *teller) addCopy(i int) {
	c := &t.copies[i]
	l := Line{
		Time: c.At.Stored, Source: FromStream, Event: "published", Scope: c.control.Again,
		Position: c.At.String(), Sequence: c.At.Sequence, Bytes: len(c.Event.Data), Group: c.control.Group, Letter: c.control.Redriven,
	}
	differs := i > 0 && dedupe.Differ(c.hash(), t.copies[0].hash())
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
	if !t.isOwn(c) {
		l.Text += ", which this group acknowledges unrun"
	}
	l.Text += fmt.Sprintf(", stored at sequence %d", c.At.Sequence)
	if e := &c.Event; c.loaded {
		l.Text += fmt.Sprintf(": source %s, type %s, %d bytes", clip(cloudevents.SourceOf(e)), clip(cloudevents.TypeOf(e)), len(e.Data))
	}
	t.addLine(l)
}
