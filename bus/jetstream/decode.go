package jetstream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

var errNoID = errors.New("a CloudEvent without an id")

// decode reads a message as an event: a CloudEvent in structured mode if its content type says so, in binary mode if it has an
// id or a specversion among its headers, and a plain message otherwise. The headers become the event's. What
// claims to be a CloudEvent and is none comes back with its bytes, and why.
func decode(m *nats.Msg, stream string, a arrival) (bus.Event, error) {
	f := find(m.Header)
	media := mediaType(m.Header)
	var event bus.Event
	var malformed error
	switch {
	case strings.HasPrefix(media, cloudEvents):
		event, malformed = structured(m, media)
	case f.has(attrID) || f.has(attrSpec):
		event, malformed = binary(m, &f)
	default:
		event = plainEvent(m, &f)
	}
	if event.ID == "" || malformed != nil {
		event.ID = positionID(stream, a)
	}
	event.Topic = m.Subject
	f.remove(m.Header)
	event.Headers = tidy(m.Header)
	return event, malformed
}

func binary(m *nats.Msg, f *found) (bus.Event, error) {
	e := bus.Event{
		ID:          f.value(m.Header, attrID),
		Key:         f.value(m.Header, attrKey),
		Type:        f.value(m.Header, attrType),
		Source:      f.value(m.Header, attrSource),
		Time:        parseTime(f.value(m.Header, attrTime)),
		ContentType: f.value(m.Header, attrContentType),
		Data:        m.Data,
	}
	if e.ID == "" {
		return e, errNoID
	}
	return e, nil
}

// plainEvent reads a message that claims nothing. Its ID may be left empty.
func plainEvent(m *nats.Msg, f *found) bus.Event {
	e := bus.Event{Data: m.Data, ContentType: bus.Headers(m.Header).Get(contentType)}
	if vs := m.Header[f.names[attrMessageID]]; f.has(attrMessageID) && len(vs) > 0 {
		e.ID = vs[0]
	}
	return e
}

func mediaType(h nats.Header) string {
	if len(h) == 0 {
		return ""
	}
	media, _, _ := strings.Cut(bus.Headers(h).Get(contentType), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// parseTime reads a time. What is none is taken as unknown.
func parseTime(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// positionID is the ID of an event that brings none: redeliveries of it are recognised, republications are not.
func positionID(stream string, a arrival) string {
	id := make([]byte, 0, len(stream)+41)
	id = strconv.AppendUint(append(append(id, stream...), ':'), a.sequence, 10)
	return string(strconv.AppendInt(append(id, ':'), a.stored, 10))
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("malformed CloudEvent: "+format, args...)
}
