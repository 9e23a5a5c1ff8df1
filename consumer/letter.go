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
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// Letter is a dead letter: an event that was given up, and the reason.
type Letter struct {
	// ID is the same for every repeat of the letter.
	ID string
	// Event is the event as it was, without control headers. If Parts is not 0, it has Topic, ID
	// and Source alone, or not even those where they are long.
	Event bus.Event
	// At is the position of the event.
	At bus.Position
	// Original is the position of the event that it is a copy of. Zero: it is none, or did not say.
	Original bus.Position
	// Group is the one that gave it up.
	Group string
	// Again is the scope in which the event ran again, as in bus.Control. Empty: in none.
	Again string
	// Reason is why it was given up, Error what the last run returned, Stack where it panicked.
	// Error and Stack are empty if the run was another process's. Long ones are cut, and say so;
	// Reason and Error are never dropped.
	Reason, Error, Stack string
	// Attempts is the number of failures, Crashes that of claims that ended by their lease alone.
	Attempts, Crashes int
	// History is the last failed attempts, the earliest first: dedupe.MaxHistory, or fewer where
	// the letter has no room for them.
	History []dedupe.Attempt
	// Claimed is when the event was first claimed, Died when it was given up.
	Claimed, Died time.Time
	// Parts is how many further events of the dead-letter topic carry the event, where it is too
	// large for one of them together with the reason. Join puts it together. Usually 0.
	Parts int
	// Edited is the ID of the letter that a consumer stored, on one that WithEvent made of it.
	Edited string

	digest string // of what the parts carry
	key    *letterKey
}

// letterKey is a key that does not follow from the event alone: that of Options.ID, or one in a
// scope. A nil key is the event's identity.
type letterKey struct {
	id, scope string
	ofEvent   bool // the id is the event's identity, also where it is too long to be kept here
}

// The headers of a dead letter. Their values are percent-encoded.
const (
	letterPrefix = "Onceish-Dead-"
	// nestedPrefix begins headers of an event that was a letter itself: one more "Of-" for each
	// letter around it.
	nestedPrefix = letterPrefix + "Of-"
	// headerPart is the event's own ID on a part of a letter.
	headerPart = letterPrefix + "Part"
	// These two are there if the key does not follow from the event alone; without the first the id
	// is the event's identity.
	headerKeyID    = letterPrefix + "Key-Id"
	headerKeyScope = letterPrefix + "Key-Scope"
	// headerEdited is there on a letter whose event was edited.
	headerEdited = letterPrefix + "Edited"
	// headerAgain is there if the event ran again.
	headerAgain = letterPrefix + "Again"
	// headerOriginal is there if the event is a copy that says of what.
	headerOriginal = letterPrefix + "Original"
)

// newLetter makes a Letter of what the protocol knows.
func newLetter(p *protocol.Letter, group string, now time.Time) *Letter {
	var key *letterKey
	if p.Key.ID != p.Delivery.Event.Identity() || p.Key.Scope != "" {
		key = &letterKey{id: shortAttribute(p.Key.ID), scope: p.Key.Scope, ofEvent: p.Key.ID == p.Delivery.Event.Identity()}
	}
	original := p.Original
	if original == p.Delivery.At {
		original = bus.Position{}
	}
	return &Letter{
		key: key,
		ID:  p.ID, Event: p.Delivery.Event, At: p.Delivery.At, Original: original, Group: group, Again: p.Again,
		Reason: p.Reason, Error: p.Error, Stack: p.Stack, Attempts: p.Attempts, Crashes: p.Crashes,
		History: p.History, Claimed: now.Add(-p.Age), Died: now,
	}
}

// DedupeKey returns the key under which the group's store keeps the event, which a redrive reopens.
// It is an error while the event lies in parts that were not joined, and where Options.ID made an
// id that was too long for a letter.
func (l *Letter) DedupeKey() (dedupe.Key, error) {
	switch {
	case l.Parts > 0:
		return dedupe.Key{}, fmt.Errorf("%w: letter %.128q: join its %d parts first", ErrLetterPart, l.ID, l.Parts)
	case l.key == nil:
		return dedupe.Key{Topic: l.Event.Topic, Group: l.Group, ID: l.Event.Identity()}, nil
	case l.key.id == "" && l.key.ofEvent:
		return dedupe.Key{Topic: l.Event.Topic, Group: l.Group, ID: l.Event.Identity(), Scope: l.key.scope}, nil
	case l.key.id == "":
		return dedupe.Key{}, fmt.Errorf("letter %.128q: the id that Options.ID made of its event takes more than %d bytes, and was not kept", l.ID, maxAttribute)
	}
	return dedupe.Key{Topic: l.Event.Topic, Group: l.Group, ID: l.key.id, Scope: l.key.scope}, nil
}

// toEvent returns the letter as an event of the topic.
func (l *Letter) toEvent(topic string) bus.Event {
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
		"Stream": l.At.Stream, "Sequence": strconv.FormatUint(l.At.Sequence, 10), "Stored": formatTime(l.At.Stored),
		"Attempts": strconv.Itoa(l.Attempts), "Crashes": strconv.Itoa(l.Crashes),
		"Claimed": formatTime(l.Claimed), "Died": formatTime(l.Died),
		"Reason": l.Reason, "Error": l.Error, "Stack": l.Stack,
		"Parts": strconv.Itoa(l.Parts), "Digest": l.digest,
	} {
		h.Set(letterPrefix+name, url.PathEscape(value))
	}
	setHistory(h, l.History)
	if l.key != nil {
		if l.key.id != "" || !l.key.ofEvent {
			h.Set(headerKeyID, url.PathEscape(l.key.id))
		}
		h.Set(headerKeyScope, url.PathEscape(l.key.scope))
	}
	if l.Edited != "" {
		h.Set(headerEdited, url.PathEscape(l.Edited))
	}
	if l.Original != (bus.Position{}) {
		h.Set(headerOriginal, url.PathEscape(l.Original.String()))
	}
	if l.Again != "" {
		h.Set(headerAgain, url.PathEscape(l.Again))
	}
	e.ID, e.Topic, e.Source, e.Headers = l.ID, topic, "", h
	return e.WithControl(bus.Control{Letter: l.ID})
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ParseLetter reads a dead letter. It returns ErrLetterPart for a part of one, and ErrNotLetter for
// any other event.
func ParseLetter(e bus.Event) (*Letter, error) {
	if part := e.Headers.Get(headerPart); part != "" && part == url.PathEscape(e.ID) {
		return nil, fmt.Errorf("%w: event %.128q on %q", ErrLetterPart, e.ID, e.Topic)
	}
	r := letterReader{headers: e.Headers}
	l := &Letter{
		ID: r.readText("Letter"), Group: r.readText("Group"), Reason: r.readText("Reason"), Error: r.readText("Error"), Stack: r.readText("Stack"),
		Attempts: r.readCount("Attempts"), Crashes: r.readCount("Crashes"), History: parseHistory(e.Headers),
		Claimed: r.readTime("Claimed"), Died: r.readTime("Died"), Parts: r.readCount("Parts"), digest: r.readText("Digest"),
		At: bus.Position{Stream: r.readText("Stream"), Sequence: r.readUint("Sequence"), Stored: r.readTime("Stored")},
	}
	if _, ok := e.Headers[headerKeyScope]; ok {
		l.key = &letterKey{scope: r.readText("Key-Scope"), ofEvent: true}
	}
	if _, ok := e.Headers[headerKeyID]; ok {
		l.key = &letterKey{id: r.readText("Key-Id"), scope: r.readText("Key-Scope")}
	}
	if _, ok := e.Headers[headerEdited]; ok {
		l.Edited = r.readText("Edited")
	}
	if _, ok := e.Headers[headerAgain]; ok {
		l.Again = r.readText("Again")
	}
	if _, ok := e.Headers[headerOriginal]; ok {
		l.Original = r.readPosition("Original")
	}
	l.Event = e.WithoutControl()
	l.Event.Topic, l.Event.ID = r.readText("Topic"), r.readText("Id")
	l.Event.Source, l.Event.Type = r.readText("Source"), r.readText("Type")
	l.Event.Headers = originalHeaders(l.Event.Headers)
	if r.err == nil && l.ID != e.ID {
		r.err = fmt.Errorf("its headers are those of letter %.128q", l.ID)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: event %.64q on %q: %w", ErrNotLetter, e.ID, e.Topic, r.err)
	}
	return l, nil
}

// originalHeaders returns those of a letter's headers that its event had.
func originalHeaders(letter bus.Headers) bus.Headers {
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

// letterReader reads a letter's headers, and keeps the first error.
type letterReader struct {
	headers bus.Headers
	err     error
}

func (r *letterReader) readText(name string) string {
	values, ok := r.headers[letterPrefix+name]
	if !ok || len(values) == 0 {
		r.keepError(fmt.Errorf("it has no header %s", letterPrefix+name))
		return ""
	}
	s, err := url.PathUnescape(values[0])
	r.keepError(err)
	return s
}

func (r *letterReader) readUint(name string) uint64 {
	n, err := strconv.ParseUint(r.readText(name), 10, 64)
	r.keepError(err)
	return n
}

func (r *letterReader) readTime(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, r.readText(name))
	r.keepError(err)
	return t
}

func (r *letterReader) readPosition(name string) bus.Position {
	p, err := bus.ParsePosition(r.readText(name))
	r.keepError(err)
	return p
}

func (r *letterReader) readCount(name string) int {
	n, err := strconv.Atoi(r.readText(name))
	r.keepError(err)
	return max(0, n)
}

func (r *letterReader) keepError(err error) {
	if r.err == nil {
		r.err = err
	}
}

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
	part := bus.Event{ID: id, Topic: topic, Key: shortAttribute(l.Event.Key), Data: data, Headers: bus.Headers{headerPart: {url.PathEscape(id)}}}
	return part.WithControl(bus.Control{Letter: id})
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
