package ledger

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// EventID is the id of the i-th event, from 0, of an event's change of a document: the same
// whenever it is made. It is a UUID of version 8.
func EventID(key dedupe.Key, step, document string, i int) string {
	b := digest(append(keyParts(key), step, document, strconv.Itoa(i))...)
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// waiting is an event as it waits in a document. What is empty is left out.
type waiting struct {
	ID          string   `bson:"id"`
	Topic       string   `bson:"topic"`
	Added       int64    `bson:"added"` // nanoseconds since 1970
	Key         string   `bson:"key,omitempty"`
	Type        string   `bson:"type,omitempty"`
	Source      string   `bson:"source,omitempty"`
	Seconds     int64    `bson:"time,omitempty"` // since 1970
	Nanos       int64    `bson:"nanos,omitempty"`
	ContentType string   `bson:"content_type,omitempty"`
	Data        []byte   `bson:"data,omitempty"`
	Headers     []header `bson:"headers,omitempty"`
}

// header is one name: as the key of a document, dots and dollars in it would mean something.
type header struct {
	Name   string   `bson:"name"`
	Values []string `bson:"values"`
}

// NewEvent is the document of an event that is added at this time. An event that could not be
// published later is bus.ErrInvalidEvent, one for which a row has no room bus.ErrTooLarge.
func NewEvent(in *bus.Event, at time.Time) (bson.Raw, error) {
	if err := check(in); err != nil {
		return nil, err
	}
	e := bus.DropForeignControl(*in)
	w := waiting{
		ID: e.ID, Topic: e.Topic, Added: at.UnixNano(), Key: e.Key, Type: e.Type, Source: e.Source, ContentType: e.ContentType, Data: e.Data,
	}
	if !e.Time.IsZero() {
		w.Seconds, w.Nanos = e.Time.Unix(), int64(e.Time.Nanosecond())
		if w.Seconds == 0 && w.Nanos == 0 {
			w.Nanos = 1 // 1970 to the nanosecond, which would read as no time
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		w.Headers = append(w.Headers, header{Name: name, Values: e.Headers[name]})
	}
	doc, err := bson.Marshal(w)
	if err == nil && len(doc) > maxEvent {
		err = fmt.Errorf("event %.64q for topic %q: %w: it has %d bytes, at most %d can wait in a document: send less, or a reference to it",
			e.ID, e.Topic, bus.ErrTooLarge, len(doc), maxEvent)
	}
	return doc, err
}

// maxEvent leaves room for what an outbox adds to an event: what waits can become a row.
const maxEvent = 16<<20 - 128<<10

func check(e *bus.Event) error {
	if err := e.Validate(); err != nil {
		return err
	}
	texts := []string{e.ID, e.Topic, e.Key, e.Type, e.Source, e.ContentType}
	for name, values := range e.Headers {
		texts = append(append(texts, name), values...)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: event %.64q for topic %.64q: %.64q is no UTF-8; only Data may be", bus.ErrInvalidEvent, e.ID, e.Topic, text)
		}
	}
	return nil
}

// Event is an event that waits.
type Event struct {
	Event bus.Event
	// Added is when it was added, in nanoseconds since 1970.
	Added int64
}

// ParseEvent reads what NewEvent made.
func ParseEvent(v bson.RawValue) (Event, error) {
	var w waiting
	doc, ok := v.DocumentOK()
	if !ok {
		return Event{}, fmt.Errorf("%w: an event is of type %v", ErrMalformed, v.Type)
	}
	if err := bson.Unmarshal(doc, &w); err != nil {
		return Event{}, fmt.Errorf("%w: an event: %w", ErrMalformed, err)
	}
	e := Event{Added: w.Added, Event: bus.Event{
		ID: w.ID, Topic: w.Topic, Key: w.Key, Type: w.Type, Source: w.Source, ContentType: w.ContentType, Data: w.Data,
	}}
	if w.Seconds != 0 || w.Nanos != 0 {
		e.Event.Time = time.Unix(w.Seconds, w.Nanos).UTC()
	}
	if len(w.Headers) > 0 {
		e.Event.Headers = make(bus.Headers, len(w.Headers))
	}
	for _, h := range w.Headers {
		e.Event.Headers[h.Name] = h.Values
	}
	if err := check(&e.Event); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return e, nil
}
