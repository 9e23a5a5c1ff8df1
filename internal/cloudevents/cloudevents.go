// Package cloudevents says how an event's attributes are named and written as a CloudEvent in
// binary mode, on NATS and over HTTP.
package cloudevents

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/percent"
)

// SpecVersion is the version of CloudEvents.
const SpecVersion = "1.0"

// Attributes of CloudEvents that are fields of bus.Event, or say how to read one. In a header they
// stand behind Prefix.
const (
	Prefix          = "ce-"
	ID              = "id"
	Source          = "source"
	Type            = "type"
	SpecVersionName = "specversion"
	Time            = "time"
	DataContentType = "datacontenttype"
	PartitionKey    = "partitionkey"
)

// IsAttribute reports whether a name, in whatever case, is one of those above.
func IsAttribute(name string) bool {
	for _, a := range [...]string{ID, Source, Type, SpecVersionName, Time, DataContentType, PartitionKey} {
		if strings.EqualFold(name, a) {
			return true
		}
	}
	return false
}

// SourceOf is the event's source, or the one that it has by default.
func SourceOf(e *bus.Event) string { return cmp.Or(e.Source, bus.DefaultSource) }

// TypeOf is the event's type, which is its logical topic by default.
func TypeOf(e *bus.Event) string { return cmp.Or(e.Type, bus.LogicalTopic(e.Topic)) }

// TimeOf is when it happened, as attributes have it; empty if that is not known.
func TimeOf(e *bus.Event) string {
	if e.Time.IsZero() {
		return ""
	}
	return e.Time.UTC().Format(time.RFC3339Nano)
}

// Encode returns text as the value of a header. What is not UTF-8 cannot be one.
func Encode(text string) (value string, ok bool) {
	if !utf8.ValidString(text) {
		return "", false
	}
	return percent.Encode(text, percent.Attribute), true
}

// IsJSON reports whether a media type is JSON's, or one on top of it.
func IsJSON(contentType string) bool {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	return strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")
}
