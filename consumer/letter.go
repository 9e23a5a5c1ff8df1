package consumer

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// Letter is a dead letter: an event that was given up, and why.
type Letter struct {
	// ID is the same for every repeat of the letter.
	ID string
	// Event as it was, without control headers. If Parts is not 0, it has Topic, ID and Source
	// alone, or not even those where they are long.
	Event bus.Event
	// At is where the event lay.
	At bus.Position
	// Group that gave it up.
	Group string
	// Reason is why, Error what the last run returned, Stack where it panicked. Error and Stack are
	// empty when the run was another process's. Long ones are cut, and say so; Reason and Error are
	// never cut away.
	Reason, Error, Stack string
	// Attempts are failures, Crashes claims that ended by their lease alone.
	Attempts, Crashes int
	// Claimed is when the event was first claimed, Died when it was given up.
	Claimed, Died time.Time
	// Parts is how many further events of the dead-letter topic carry the event, because it is too
	// large for one of them together with the reason. Join puts it together. Usually 0.
	Parts int

	digest string // of what the parts carry
}

// The headers of a dead letter. Their values are percent-encoded.
const (
	letterPrefix = "Onceish-Dead-"
	// nestedPrefix begins headers of an event that was a letter itself: one more "Of-" for each
	// letter around it.
	nestedPrefix = letterPrefix + "Of-"
	// headerPart is the event's own ID on a part of a letter.
	headerPart = letterPrefix + "Part"
)

// newLetter completes what the protocol knows.
func newLetter(p *protocol.Letter, group string, now time.Time) *Letter {
	return &Letter{
		ID: p.ID, Event: p.Delivery.Event, At: p.Delivery.At, Group: group,
		Reason: p.Reason, Error: p.Error, Stack: p.Stack, Attempts: p.Attempts, Crashes: p.Crashes,
		Claimed: now.Add(-p.Age), Died: now,
	}
}

// encode is the letter as an event of the topic.
func (l *Letter) encode(topic string) bus.Event {
	e := l.Event.WithoutControl()
	h := make(bus.Headers, len(e.Headers)+20)
	for name, values := range e.Headers {
		if rest, ok := strings.CutPrefix(name, letterPrefix); ok {
			name = nestedPrefix + rest
		}
		h[name] = values
	}
	for name, value := range map[string]string{
		"Letter": l.ID, "Group": l.Group, "Topic": e.Topic, "Id": e.ID, "Source": e.Source, "Type": e.Type,
		"Stream": l.At.Stream, "Sequence": strconv.FormatUint(l.At.Sequence, 10), "Stored": stamp(l.At.Stored),
		"Attempts": strconv.Itoa(l.Attempts), "Crashes": strconv.Itoa(l.Crashes),
		"Claimed": stamp(l.Claimed), "Died": stamp(l.Died),
		"Reason": l.Reason, "Error": l.Error, "Stack": l.Stack,
		"Parts": strconv.Itoa(l.Parts), "Digest": l.digest,
	} {
		h.Set(letterPrefix+name, url.PathEscape(value))
	}
	e.ID, e.Topic, e.Source, e.Headers = l.ID, topic, "", h
	return e.WithControl(bus.Control{Letter: l.ID})
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ParseLetter reads a dead letter. A part of one is ErrLetterPart, and what is neither is
// ErrNotLetter.
func ParseLetter(e bus.Event) (*Letter, error) {
	if part := e.Headers.Get(headerPart); part != "" && part == url.PathEscape(e.ID) {
		return nil, fmt.Errorf("%w: event %.128q on %q", ErrLetterPart, e.ID, e.Topic)
	}
	r := letterReader{headers: e.Headers}
	l := &Letter{
		ID: r.text("Letter"), Group: r.text("Group"), Reason: r.text("Reason"), Error: r.text("Error"), Stack: r.text("Stack"),
		Attempts: r.count("Attempts"), Crashes: r.count("Crashes"),
		Claimed: r.time("Claimed"), Died: r.time("Died"), Parts: r.count("Parts"), digest: r.text("Digest"),
		At: bus.Position{Stream: r.text("Stream"), Sequence: r.number("Sequence"), Stored: r.time("Stored")},
	}
	l.Event = e.WithoutControl()
	l.Event.Topic, l.Event.ID = r.text("Topic"), r.text("Id")
	l.Event.Source, l.Event.Type = r.text("Source"), r.text("Type")
	l.Event.Headers = ofEvent(l.Event.Headers)
	if r.err == nil && l.ID != e.ID {
		r.err = fmt.Errorf("its headers are those of letter %.128q", l.ID)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: event %.64q on %q: %w", ErrNotLetter, e.ID, e.Topic, r.err)
	}
	return l, nil
}

// ofEvent are those of a letter's headers that its event had.
func ofEvent(letter bus.Headers) bus.Headers {
	h := make(bus.Headers)
	for name, values := range letter {
		if rest, ok := strings.CutPrefix(name, nestedPrefix); ok {
			h[letterPrefix+rest] = values
		} else if !strings.HasPrefix(name, letterPrefix) {
			h[name] = values
		}
	}
	return h
}

// letterReader reads headers, and keeps the first error.
type letterReader struct {
	headers bus.Headers
	err     error
}

func (r *letterReader) text(name string) string {
	values, ok := r.headers[letterPrefix+name]
	if !ok || len(values) == 0 {
		r.fail(fmt.Errorf("it has no header %s", letterPrefix+name))
		return ""
	}
	s, err := url.PathUnescape(values[0])
	r.fail(err)
	return s
}

func (r *letterReader) number(name string) uint64 {
	n, err := strconv.ParseUint(r.text(name), 10, 64)
	r.fail(err)
	return n
}

func (r *letterReader) time(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, r.text(name))
	r.fail(err)
	return t
}

func (r *letterReader) count(name string) int {
	n, err := strconv.Atoi(r.text(name))
	r.fail(err)
	return max(0, n)
}

func (r *letterReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
