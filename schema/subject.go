package schema

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
)

// maxName bounds a topic and a type, in bytes.
const maxName = 255

// Subject is what has a schema: the events of one type on a topic.
type Subject struct {
	// Topic is the logical topic.
	Topic string `json:"topic"`
	// Type is the type of the events. Empty: the topic, as in bus.Event.
	Type string `json:"type"`
}

// SubjectOf returns the subject of an event: its logical topic and its type.
func SubjectOf(e *bus.Event) Subject {
	return Subject{Topic: bus.LogicalTopic(e.Topic), Type: e.Type}.WithDefaults()
}

// WithDefaults returns the subject with the Type that it has by default.
func (s Subject) WithDefaults() Subject {
	s.Type = cmp.Or(s.Type, s.Topic)
	return s
}

// String returns the topic, and the type in parentheses if it is another one.
func (s Subject) String() string {
	if s = s.WithDefaults(); s.Type == s.Topic {
		return s.Topic
	}
	return s.Topic + " (" + s.Type + ")"
}

// Validate returns why a subject cannot have a schema. Errors are ErrInvalid.
func (s Subject) Validate() error {
	s = s.WithDefaults()
	if err := bus.ValidTopic(s.Topic); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if logical := bus.LogicalTopic(s.Topic); logical != s.Topic {
		return fmt.Errorf("%w: topic %.64q is a partition: name the topic %q", ErrInvalid, s.Topic, logical)
	}
	if len(s.Topic) > maxName || len(s.Type) > maxName {
		return fmt.Errorf("%w: topic and type of %.64q have more than %d bytes", ErrInvalid, s.Topic, maxName)
	}
	if !utf8.ValidString(s.Topic) || !utf8.ValidString(s.Type) {
		return fmt.Errorf("%w: topic or type of %.64q is not UTF-8", ErrInvalid, s.Topic)
	}
	return nil
}
