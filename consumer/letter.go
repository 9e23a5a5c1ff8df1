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
	// Event as it was, but for Data if DataOmitted.
	Event bus.Event
	// At is where the event lay.
	At bus.Position
	// Group that gave it up.
	Group string
	// Reason is why, Error what the last run returned, Stack where it panicked. Error and Stack may be cut to fit the bus, and are
	// empty when the run was another process's.
	Reason, Error, Stack string
	// Attempts are failures, Crashes claims that ended by their lease alone.
	Attempts, Crashes int
	// Claimed is when the event was first claimed, Died when it was given up.
	Claimed, Died time.Time
	// DataOmitted: the data left no room for the letter on the bus. It is where At says, for as long as the stream keeps it.
	DataOmitted bool

	headersOmitted bool // the event's own; they are where its data is
}

// The headers of a dead letter. Their values are percent-encoded.
const (
	letterPrefix = "Onceish-Dead-"
	letterRoom   = 1 << 10 // for what the bus adapter adds: CloudEvents attributes, the message id
)

// newLetter completes what the protocol knows.
func newLetter(p *protocol.Letter, group string, now time.Time) *Letter {
	return &Letter{
		ID: p.ID, Event: p.Delivery.Event, At: p.Delivery.At, Group: group,
		Reason: p.Reason, Error: p.Error, Stack: p.Stack, Attempts: p.Attempts, Crashes: p.Crashes,
		Claimed: now.Add(-p.Age), Died: now,
	}
}

// event is the letter as it is published to a topic whose events may have so many bytes (0: any number). To fit, the stack
// is cut, then error and reason, and the data, then the event's headers, left out as the last resort: they are never cut.
func (l *Letter) event(topic string, maxBytes int) bus.Event {
	e := l.encode(topic)
	over := excess(&e, maxBytes)
	for _, text := range []*string{&l.Stack, &l.Error, &l.Reason} {
		if over <= 0 {
			return e
		}
		*text = cut(*text, over)
		e = l.encode(topic)
		over = excess(&e, maxBytes)
	}
	if over > 0 {
		l.DataOmitted = true
		e = l.encode(topic)
		e.Data = nil
	}
	if excess(&e, maxBytes) > 0 {
		l.headersOmitted = true
		e = l.encode(topic)
		e.Data = nil
	}
	return e
}

// cut shortens what takes so many bytes too many once it is encoded, in which no byte takes more than three.
func cut(s string, over int) string {
	for s != "" && over > 0 {
		last := len(s) - 1
		over -= len(url.PathEscape(s[last:]))
		s = s[:last]
	}
	return strings.ToValidUTF8(s, "")
}

func excess(e *bus.Event, maxBytes int) int {
	if maxBytes == 0 {
		return 0
	}
	size := letterRoom + len(e.Data) + len(e.ID) + len(e.Topic) + len(e.Key) + len(e.Type)
	for name, values := range e.Headers {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return size - maxBytes
}

func (l *Letter) encode(topic string) bus.Event {
	h := make(bus.Headers)
	if !l.headersOmitted {
		h = l.Event.Headers.Clone()
		delete(h, bus.HeaderGroup) // the letter is for everybody
		delete(h, bus.HeaderRedriven)
	}
	h.Set(bus.HeaderLetter, url.PathEscape(l.ID))
	for name, value := range map[string]string{
		"Group": l.Group, "Topic": l.Event.Topic, "Id": l.Event.ID, "Source": l.Event.Source,
		"Stream": l.At.Stream, "Sequence": strconv.FormatUint(l.At.Sequence, 10), "Stored": stamp(l.At.Stored),
		"Attempts": strconv.Itoa(l.Attempts), "Crashes": strconv.Itoa(l.Crashes),
		"Claimed": stamp(l.Claimed), "Died": stamp(l.Died),
		"Reason": l.Reason, "Error": l.Error, "Stack": l.Stack,
		"Data-Omitted": strconv.FormatBool(l.DataOmitted),
	} {
		h.Set(letterPrefix+name, url.PathEscape(value))
	}
	e := l.Event
	e.ID, e.Topic, e.Source, e.Headers = l.ID, topic, "", h
	return e
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ParseLetter reads a dead letter. What is none is ErrNotLetter.
func ParseLetter(e bus.Event) (*Letter, error) {
	r := letterReader{headers: e.Headers}
	l := &Letter{
		Event: e, Group: r.text("Group"), Reason: r.text("Reason"), Error: r.text("Error"), Stack: r.text("Stack"),
		Attempts: r.count("Attempts"), Crashes: r.count("Crashes"),
		Claimed: r.time("Claimed"), Died: r.time("Died"), DataOmitted: r.text("Data-Omitted") == "true",
		At: bus.Position{Stream: r.text("Stream"), Sequence: r.number("Sequence"), Stored: r.time("Stored")},
	}
	l.ID = r.unescape(bus.HeaderLetter)
	l.Event.Topic, l.Event.ID, l.Event.Source = r.text("Topic"), r.text("Id"), r.text("Source")
	l.Event.Headers = make(bus.Headers)
	for name, values := range e.Headers {
		if name != bus.HeaderLetter && !strings.HasPrefix(name, letterPrefix) {
			l.Event.Headers[name] = values
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: event %.64q on %q: %w", ErrNotLetter, e.ID, e.Topic, r.err)
	}
	return l, nil
}

// letterReader reads headers, and keeps the first error.
type letterReader struct {
	headers bus.Headers
	err     error
}

func (r *letterReader) text(name string) string { return r.unescape(letterPrefix + name) }

func (r *letterReader) unescape(header string) string {
	if _, ok := r.headers[header]; !ok {
		r.fail(fmt.Errorf("it has no header %s", header))
		return ""
	}
	s, err := url.PathUnescape(r.headers.Get(header))
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

func (r *letterReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *letterReader) count(name string) int {
	n, err := strconv.Atoi(r.text(name))
	r.fail(err)
	return n
}
