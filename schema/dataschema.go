package schema

import (
	"maps"
	"strconv"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/percent"
)

// HeaderDataSchema is the header of the CloudEvents attribute dataschema.
const HeaderDataSchema = "ce-dataschema"

const uriPrefix = "urn:onceish:schema:"

// URI names a version of a subject's schema, as in the attribute dataschema:
// "urn:onceish:schema:order.placed:order.placed:3", with topic, type and number.
func URI(s Subject, number int) string {
	s = s.WithDefaults()
	b := append([]byte(uriPrefix), percent.Encode(s.Topic, plainInURI)...)
	b = append(append(b, ':'), percent.Encode(s.Type, plainInURI)...)
	return string(strconv.AppendInt(append(b, ':'), int64(number), 10))
}

// ParseURI reads what URI has written. It reports false for anything else.
func ParseURI(uri string) (s Subject, number int, ok bool) {
	rest, ours := strings.CutPrefix(uri, uriPrefix)
	parts := strings.Split(rest, ":")
	if !ours || len(parts) != 3 {
		return Subject{}, 0, false
	}
	topic, topicOK := percent.Decode('%', parts[0], plainInURI)
	eventType, typeOK := percent.Decode('%', parts[1], plainInURI)
	number, err := strconv.Atoi(parts[2])
	if !topicOK || !typeOK || err != nil || number < 1 || strconv.Itoa(number) != parts[2] {
		return Subject{}, 0, false
	}
	return Subject{Topic: topic, Type: eventType}, number, true
}

func plainInURI(c byte) bool {
	return percent.LetterOrDigit(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// NumberOf returns the version that an event's dataschema names; 0 if it has none, or one that URI
// has not written. It reports false if that is a version of another subject.
func NumberOf(e *bus.Event) (number int, ok bool) {
	uri := e.Headers.Get(HeaderDataSchema)
	if uri == "" {
		return 0, true
	}
	s, number, ours := ParseURI(uri)
	if !ours {
		return 0, true
	}
	return number, s == SubjectOf(e)
}

// WithNumber returns the event with a dataschema that names a version of its subject. It shares no
// headers with e.
func WithNumber(e bus.Event, number int) bus.Event {
	headers := make(bus.Headers, len(e.Headers)+1)
	maps.Copy(headers, e.Headers)
	maps.DeleteFunc(headers, func(name string, _ []string) bool { return strings.EqualFold(name, HeaderDataSchema) })
	headers.Set(HeaderDataSchema, URI(SubjectOf(&e), number))
	e.Headers = headers
	return e
}
