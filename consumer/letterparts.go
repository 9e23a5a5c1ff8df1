package consumer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
)

// toEvents returns the letter as it is published to the topic: one event, or, where its event
// leaves no room for the reason, parts that carry the event, and after them the letter itself. A
// repeat of the letter has the same parts.
func (l *Letter) toEvents(topic string, room letterRoom) (parts []bus.Event, letter bus.Event) {
	if e, ok := l.fitInto(topic, room); ok {
		return nil, e
	}
	head := *l
	parts = head.splitIntoParts(topic, room)
	letter, _ = head.fitInto(topic, room) // SubscribeExactlyOnce has made sure that there is room
	return parts, letter
}

// splitIntoParts moves the letter's event to parts.
func (l *Letter) splitIntoParts(topic string, room letterRoom) (parts []bus.Event) {
	packed := packEvent(&l.Event)
	sum := sha256.Sum256(packed)
	l.digest = hex.EncodeToString(sum[:])
	size := len(packed)
	if room.all > 0 {
		largest := l.newPart(topic, 1<<30, nil)
		size = max(1, room.all-headerBytes(&largest))
	}
	for chunk := range slices.Chunk(packed, size) {
		parts = append(parts, l.newPart(topic, len(parts), chunk))
	}
	l.Parts = len(parts)
	e := &l.Event
	l.Event = bus.Event{Topic: shortAttribute(e.Topic), ID: shortAttribute(e.ID), Source: shortAttribute(e.Source), Key: shortAttribute(e.Key), Time: e.Time}
	return parts
}

func (l *Letter) newPart(topic string, i int, data []byte) bus.Event {
	id := l.partID(i)
	return bus.Event{ID: id, Topic: topic, Key: shortAttribute(l.Event.Key), Data: data, Headers: bus.Headers{headerPart: {url.PathEscape(id)}}}
}

// partID is the ID of the i-th part, from 0. The digest keeps apart what is packed of two copies of
// one event.
func (l *Letter) partID(i int) string { return l.ID + "/" + l.digest[:16] + "/" + strconv.Itoa(i+1) }

// shortAttribute is s, or nothing where s is long.
func shortAttribute(s string) string {
	if len(url.PathEscape(s)) > maxAttribute {
		return ""
	}
	return s
}

// Join completes Event from the letter's parts, which lie before it on its topic. They may be in
// any order, and other events among them are ignored. Join returns ErrLetterPart if one is missing,
// or is not as it was.
func (l *Letter) Join(parts ...bus.Event) error {
	if l.Parts == 0 {
		return nil
	}
	data := make(map[string][]byte, len(parts))
	for i := range parts {
		data[parts[i].ID] = parts[i].Data
	}
	var packed []byte
	for i := range l.Parts {
		chunk, ok := data[l.partID(i)]
		if !ok {
			return fmt.Errorf("%w: letter %.128q: %d of %d is missing: event %.128q", ErrLetterPart, l.ID, i+1, l.Parts, l.partID(i))
		}
		packed = append(packed, chunk...)
	}
	if sum := sha256.Sum256(packed); hex.EncodeToString(sum[:]) != l.digest {
		return fmt.Errorf("%w: letter %.128q: its %d parts are not what was stored", ErrLetterPart, l.ID, l.Parts)
	}
	e, err := unpackEvent(packed)
	if err != nil {
		return fmt.Errorf("%w: letter %.128q: %w", ErrLetterPart, l.ID, err)
	}
	l.Event, l.Parts, l.digest = e, 0, ""
	return nil
}

// packEvent writes an event as lines of its attributes and headers, percent-encoded, an empty line,
// and its data.
func packEvent(e *bus.Event) []byte {
	var b bytes.Buffer
	line := func(kind string, values ...string) {
		b.WriteString(kind)
		for _, v := range values {
			b.WriteByte(' ')
			b.WriteString(url.PathEscape(v))
		}
		b.WriteByte('\n')
	}
	for kind, field := range attributesOf(e) {
		line(kind, *field)
	}
	if !e.Time.IsZero() {
		line("time", formatTime(e.Time))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		for _, v := range e.Headers[name] {
			line("header", name, v)
		}
	}
	b.WriteByte('\n')
	b.Write(e.Data)
	return b.Bytes()
}

// attributesOf returns the fields of an event that are text, in a fixed order.
func attributesOf(e *bus.Event) func(yield func(kind string, field *string) bool) {
	return func(yield func(string, *string) bool) {
		_ = yield("id", &e.ID) && yield("topic", &e.Topic) && yield("key", &e.Key) && yield("type", &e.Type) &&
			yield("source", &e.Source) && yield("contenttype", &e.ContentType)
	}
}

func unpackEvent(packed []byte) (e bus.Event, err error) {
	e.Headers = make(bus.Headers)
	fields := maps.Collect(attributesOf(&e))
	for {
		line, rest, ok := bytes.Cut(packed, []byte("\n"))
		if !ok {
			return e, fmt.Errorf("the packed event ends before its data")
		}
		packed = rest
		if len(line) == 0 {
			e.Data = packed
			return e, nil
		}
		if err := unpackLine(&e, fields, string(line)); err != nil {
			return e, fmt.Errorf("line %.64q of the packed event: %w", line, err)
		}
	}
}

func unpackLine(e *bus.Event, fields map[string]*string, line string) (err error) {
	words := strings.Split(line, " ")
	for i := range words {
		if words[i], err = url.PathUnescape(words[i]); err != nil {
			return err
		}
	}
	field := fields[words[0]]
	switch {
	case field != nil && len(words) == 2:
		*field = words[1]
	case words[0] == "time" && len(words) == 2:
		e.Time, err = time.Parse(time.RFC3339Nano, words[1])
	case words[0] == "header" && len(words) == 3:
		e.Headers[words[1]] = append(e.Headers[words[1]], words[2])
	default:
		err = fmt.Errorf("it is neither an attribute nor a header")
	}
	return err
}
