package jetstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

var errNoID = errors.New("a CloudEvent without an id")

// decodeMessage reads a message as an event: a CloudEvent in structured mode if its content type
// says so, in binary mode if it has an id or a specversion among its headers, and a plain message
// otherwise. The headers become the event's. What claims to be a CloudEvent and is none comes back
// with its bytes, and why. With envelopes, structured mode is also recognised by the data, where no
// header says what it is. An event without a key has the one that a transform has put into its
// subject.
func decodeMessage(m *nats.Msg, stream string, a deliveryInfo, envelopes bool) (bus.Event, error) {
	f := readAttributes(m.Header)
	var event bus.Event
	var malformed error
	switch {
	case isCloudEvents(f.values[attrMedia]) || envelopes && bareEnvelope(m, &f):
		event, malformed = decodeStructured(m, &f)
	case f.has(attrID) || f.has(attrSpec):
		event, malformed = decodeBinary(m, &f)
	default:
		event = bus.Event{ID: f.rawValue(attrMessageID), ContentType: f.rawValue(attrMedia), Data: m.Data}
	}
	if event.ID == "" || malformed != nil {
		event.ID = positionID(stream, a)
	}
	event.Topic = bus.TopicOf(m.Subject)
	if event.Key == "" {
		event.Key, _ = bus.PartitionKey(m.Subject)
	}
	event.Headers = f.eventHeaders(m.Header)
	return event, malformed
}

func decodeBinary(m *nats.Msg, f *attributeSet) (e bus.Event, err error) {
	e.Data = m.Data
	var when string
	for _, a := range []struct {
		attribute attribute
		field     *string
	}{
		{attrID, &e.ID}, {attrKey, &e.Key}, {attrType, &e.Type}, {attrSource, &e.Source}, {attrTime, &when}, {attrContentType, &e.ContentType},
	} {
		value, invalid := f.value(a.attribute)
		*a.field, err = value, errors.Join(err, invalid)
	}
	e.Time = parseTime(when)
	if !f.has(attrContentType) {
		e.ContentType = f.rawValue(attrMedia)
	}
	if e.ID == "" {
		err = errors.Join(err, errNoID)
	}
	return e, err
}

// parseTime reads a time. What is none is taken as unknown.
func parseTime(s string) (t time.Time) {
	if s != "" {
		t, _ = time.Parse(time.RFC3339Nano, s) // It is zero after an error.
	}
	return t
}

// positionID is the ID of an event that brings none: redeliveries of it are recognised,
// republications are not.
func positionID(stream string, a deliveryInfo) string {
	return fmt.Sprintf("%s:%d:%d", stream, a.sequence, a.stored)
}

func malformedError(format string, args ...any) error {
	return fmt.Errorf("malformed CloudEvent: "+format, args...)
}
