// Package bsonevent is the form that events have in BSON: in the rows of an outbox, and while they
// wait in documents. The time of the event is not part of it, because the two keep it differently.
package bsonevent

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
)

// Event is an event but for its time, to be inlined in a document. What is empty is left out, but
// for id and topic.
type Event struct {
	ID          string   `bson:"id"`
	Topic       string   `bson:"topic"`
	Key         string   `bson:"key,omitempty"`
	Type        string   `bson:"type,omitempty"`
	Source      string   `bson:"source,omitempty"`
	ContentType string   `bson:"content_type,omitempty"`
	Data        []byte   `bson:"data,omitempty"`
	Headers     []Header `bson:"headers,omitempty"`
}

// Header is one name and its values. As the key of a document, dots and dollars in a name would
// mean something.
type Header struct {
	Name   string   `bson:"name"`
	Values []string `bson:"values"`
}

// New returns the form of an event.
func New(e *bus.Event) Event {
	out := Event{ID: e.ID, Topic: e.Topic, Key: e.Key, Type: e.Type, Source: e.Source, ContentType: e.ContentType, Data: e.Data}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		out.Headers = append(out.Headers, Header{Name: name, Values: e.Headers[name]})
	}
	return out
}

// Decode returns the event, without a time.
func (e *Event) Decode() bus.Event {
	out := bus.Event{ID: e.ID, Topic: e.Topic, Key: e.Key, Type: e.Type, Source: e.Source, ContentType: e.ContentType, Data: e.Data}
	if len(e.Headers) > 0 {
		out.Headers = make(bus.Headers, len(e.Headers))
	}
	for _, h := range e.Headers {
		out.Headers[h.Name] = h.Values
	}
	return out
}

// Check returns an error that wraps bus.ErrInvalidEvent when an event cannot be published, or when
// one of its texts is not UTF-8, as BSON demands.
func Check(e *bus.Event) error {
	if err := e.Validate(); err != nil {
		return err
	}
	texts := map[string]string{"ID": e.ID, "Topic": e.Topic, "Key": e.Key, "Type": e.Type, "Source": e.Source, "ContentType": e.ContentType}
	for name, values := range e.Headers {
		if !utf8.ValidString(name) {
			texts["Headers: a name"] = name
		}
		for _, v := range values {
			if !utf8.ValidString(v) {
				texts["Headers"] = v
			}
		}
	}
	for name, text := range texts {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: event %.64q for topic %.64q: Event.%s is %.64q, which is no UTF-8", bus.ErrInvalidEvent, e.ID, e.Topic, name, text)
		}
	}
	return nil
}
