package bus

import (
	"fmt"
	"strings"
	"time"
)

// DefaultSource is the ce-source of an event that was published without one. It adds nothing to the
// event's identity, so events published with and without it are the same.
const DefaultSource = "onceish"

// Event is an immutable message with an id. Its fields follow CloudEvents.
//
// Every bus and every outbox refuses headers that are between a bus and its server (ServerHeader),
// and drops control headers that were written for another event: copying the headers of an event
// that was received does no harm.
//
// What a bus cannot carry unchanged it refuses with ErrInvalidEvent. All buses carry any Data,
// fields that are UTF-8, and headers with a name of visible ASCII other than "()/,:;<=>?@[\]{} and
// values of UTF-8 without line breaks and without space around them. A bus over a network refuses
// more than one in the process; NATS refuses
//
//   - fields that are not UTF-8,
//   - headers with another name, or with a line break in a value, or a space or tab at its
//     beginning or end,
//   - headers that are fields of the event, such as ce-id, in whatever case: set the field instead,
//   - a Content-Type that says that Data is a CloudEvent in structured mode.
type Event struct {
	// ID tells events of one topic and source apart. Required to publish.
	ID string
	// Topic is the subject that the event is published to, without wildcards. Required to publish.
	// That of an event in a partition is the partition's: see LogicalTopic for what it is part of.
	Topic string
	// Key orders events: those with one key are handled one after the other. Empty: no order. An
	// event that was mapped to a partition and brings no key is read with that of its subject.
	Key string
	// Type is the kind of event, such as "order.placed". Empty: the logical topic.
	Type string
	// Source is the context in which the ID is unique. Empty: DefaultSource.
	Source string
	// Time is when it happened. Zero: unknown.
	Time time.Time
	// ContentType is the media type of Data. Empty: unknown.
	ContentType string
	// Data is the payload. Whoever holds an Event must not change it.
	Data []byte
	// Headers are what travels beside the attributes above, trace context included.
	Headers Headers
}

// Identity is what tells this event from others of its logical topic: its ID, together with its
// Source unless that is the default one. It is injective: two events of different (source, id) have
// different identities.
func (e *Event) Identity() string {
	if e.Source != "" && e.Source != DefaultSource {
		return "{" + sourceEscaper.Replace(e.Source) + "}" + e.ID
	}
	if strings.HasPrefix(e.ID, "{") {
		return "{}" + e.ID
	}
	return e.ID
}

var sourceEscaper = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

// Validate says why an event cannot be published: it has no ID, a topic that is none, or a header
// that is the server's.
func (e *Event) Validate() error {
	if e.ID == "" {
		return fmt.Errorf("%w: an event for topic %q has no ID: set Event.ID", ErrInvalidEvent, e.Topic)
	}
	if err := ValidTopic(e.Topic); err != nil {
		return fmt.Errorf("%w: event %.64q: %w", ErrInvalidEvent, e.ID, err)
	}
	for name := range e.Headers {
		if ServerHeader(name) {
			return fmt.Errorf("%w: event %.64q: header %.64q is between the bus and its server: leave it out", ErrInvalidEvent, e.ID, name)
		}
	}
	return nil
}
