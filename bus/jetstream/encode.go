package jetstream

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// encode writes an event as a CloudEvent in binary mode.
func encode(e *bus.Event) (*nats.Msg, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	w := writer{header: make(nats.Header, len(e.Headers)+int(attributes)), values: make([]string, 0, attributes)}
	for name, vs := range e.Headers {
		if err := publishable(name, vs); err != nil {
			return nil, fmt.Errorf("event %.64q: %w", e.ID, err)
		}
		w.header[name] = vs
	}
	w.set(attrMessageID, bus.MessageID(e))
	w.set(attrSpec, "1.0")
	w.text(attrID, e.ID)
	w.text(attrSource, or(e.Source, bus.DefaultSource))
	w.text(attrType, or(e.Type, e.Topic))
	w.text(attrContentType, e.ContentType)
	w.text(attrKey, e.Key)
	if !e.Time.IsZero() {
		w.set(attrTime, e.Time.UTC().Format(time.RFC3339Nano))
	}
	if w.err != nil {
		return nil, fmt.Errorf("event %.64q: %w", e.ID, w.err)
	}
	return &nats.Msg{Subject: e.Topic, Header: w.header, Data: e.Data}, nil
}

// writer writes attributes among the headers of a message.
type writer struct {
	header nats.Header
	values []string // of the attributes, allocated together
	err    error
}

func (w *writer) set(a attribute, value string) {
	n := len(w.values)
	w.values = append(w.values, value)
	w.header[headerNames[a]] = w.values[n : n+1 : n+1]
}

// text writes an attribute unless it is empty.
func (w *writer) text(a attribute, value string) {
	if value == "" {
		return
	}
	if !utf8.ValidString(value) {
		w.err = fmt.Errorf("%w: its %s %.64q is not UTF-8", bus.ErrInvalidEvent, headerNames[a], value)
		return
	}
	w.set(a, escape(value))
}
