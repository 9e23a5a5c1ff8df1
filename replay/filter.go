package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
)

// Filter selects events. The zero Filter selects all; every field that is set must match.
type Filter struct {
	// Topic of the event, which may be a pattern. A partition's events also have its logical topic.
	Topic string
	// IDs has the event's ID. Empty: any.
	IDs []string
	// Type, Source and Key of the event. One without a type has its topic's, one without a source
	// bus.DefaultSource.
	Type, Source, Key string
	// Headers are those that the event must have, each with all of the values. The case of their
	// names makes no difference.
	Headers bus.Headers
	// Data is a part of the event's data.
	Data string
}

// Validate says why there is no such filter.
func (f *Filter) Validate() error {
	if f.Topic == "" {
		return nil
	}
	if err := bus.ValidPattern(f.Topic); err != nil {
		return fmt.Errorf("Filter.Topic: %w", err)
	}
	return nil
}

// Matches reports whether the filter selects an event.
func (f *Filter) Matches(e *bus.Event) bool {
	return f.matchesTopic(e.Topic) && (len(f.IDs) == 0 || slices.Contains(f.IDs, e.ID)) &&
		(f.Type == "" || f.Type == cloudevents.TypeOf(e)) && (f.Source == "" || f.Source == cloudevents.SourceOf(e)) &&
		(f.Key == "" || f.Key == e.Key) && f.matchesHeaders(e.Headers) && (f.Data == "" || bytes.Contains(e.Data, []byte(f.Data)))
}

func (f *Filter) matchesTopic(topic string) bool {
	return f.Topic == "" || bus.Match(f.Topic, topic) || bus.Match(f.Topic, bus.LogicalTopic(topic))
}

func (f *Filter) matchesHeaders(headers bus.Headers) bool {
	for name, values := range f.Headers {
		for _, value := range values {
			if !hasHeader(headers, name, value) {
				return false
			}
		}
	}
	return true
}

func hasHeader(headers bus.Headers, name, value string) bool {
	for other, values := range headers {
		if strings.EqualFold(other, name) && slices.Contains(values, value) {
			return true
		}
	}
	return false
}
