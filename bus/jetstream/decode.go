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

const (
	contentType   = "Content-Type"
	cloudEvents   = "application/cloudevents"
	cloudEventsJS = cloudEvents + "+json"
)

var errNoID = errors.New("a CloudEvent without an id")

// decode reads a message as an event: a CloudEvent in structured mode if its content type says so, in binary mode if it has an
// id or a specversion among its headers, and a plain message otherwise. The headers become the event's. What
// claims to be a CloudEvent and is none comes back with all its bytes and headers, and why.
func decode(m *nats.Msg, stream string, a arrival) (bus.Event, error) {
	f := find(m.Header)
	var event bus.Event
	var err error
	switch media := mediaType(m.Header); {
	case strings.HasPrefix(media, cloudEvents):
		event, err = structured(m, media)
	case f.has(attrID) || f.has(attrSpec):
		event, err = binary(m, &f)
	default:
		event = plainEvent(m, &f)
	}
	if err != nil {
		return bus.Event{ID: positionID(stream, a), Topic: m.Subject, Data: m.Data, Headers: bus.Headers(m.Header)}, err
	}
	if event.ID == "" {
		event.ID = positionID(stream, a)
	}
	event.Topic = m.Subject
	f.keepUnread(&event)
	f.remove(m.Header)
	event.Headers = bus.Headers(m.Header)
	return event, nil
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

// keepUnread leaves a time that could not be read among the headers.
func (f *found) keepUnread(e *bus.Event) {
	if e.Time.IsZero() {
		f.names[attrTime] = ""
	}
}

func mediaType(h nats.Header) string {
	if len(h) == 0 {
		return ""
	}
	media, _, _ := strings.Cut(bus.Headers(h).Get(contentType), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

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
	return fmt.Errorf("malformed structured CloudEvent: "+format, args...)
}
