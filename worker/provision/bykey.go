package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/shell"
)

// transformByKey is the subject transform that stores what is published to TOPIC.by.KEY in the
// partition of the key, which stays the last token.
func transformByKey(topic string, partitions int) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      topic + ".by.*",
		Destination: fmt.Sprintf("%s.of%d.{{partition(%d,1)}}.{{wildcard(1)}}", topic, partitions, partitions),
	}
}

// byKeyField is the stream's subject transform.
func byKeyField() streamField {
	return streamField{
		fieldByKey, showByKey,
		func(to, from *streamConfig) { to.SubjectTransform = from.SubjectTransform },
		func(c *streamConfig) string {
			if c.SubjectTransform == nil {
				return "--no-transform"
			}
			return "--transform-source=" + shell.Quote(c.SubjectTransform.Source) + " --transform-destination=" + shell.Quote(c.SubjectTransform.Destination)
		},
		foreignTransform,
	}
}

// showByKey is the topic and its partitions, or the transform as it is where it is of another kind.
func showByKey(c *streamConfig) string {
	t := c.SubjectTransform
	if t == nil || t.Source == "" && t.Destination == "" {
		return "none"
	}
	if topic, n, ok := parseByKey(t); ok {
		return fmt.Sprintf("%s in %d partitions", topic, n)
	}
	return t.Source + " to " + t.Destination
}

// parseByKey reads what transformByKey makes.
func parseByKey(t *jetstream.SubjectTransformConfig) (topic string, partitions int, ok bool) {
	topic, ok = strings.CutSuffix(t.Source, ".by.*")
	if !ok {
		return "", 0, false
	}
	layout, _, _ := strings.Cut(t.Destination, ".{{")
	p, ok := bus.ParsePartition(layout + ".0")
	return topic, p.Of, ok && *transformByKey(topic, p.Of) == *t
}

// foreignTransform is why the transform cannot be replaced: a stream has one, and what another one
// stores would lie somewhere else afterwards.
func foreignTransform(_ context.Context, s *foundStream, want *streamConfig) (string, error) {
	have := s.info.Config.SubjectTransform
	if have == nil || have.Source == "" && have.Destination == "" {
		return "", nil
	}
	topic, _, ok := parseByKey(have)
	if to, _, _ := parseByKey(want.SubjectTransform); ok && topic == to {
		return "", nil // another number of partitions
	}
	return fmt.Sprintf("the stream has another subject transform, and can have one: %s", showByKey(&s.info.Config)), nil
}
