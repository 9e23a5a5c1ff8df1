package jetstream

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// A stream can store an event under another subject than it was published to: by a subject
// transform of its own, or of a source or mirror. A consumer filters by the stored subject, and so
// does a group. What follows works out, from a stream's configuration, under which patterns it
// stores events. A pattern may cover more than is ever stored, never less.

// allSubjects is the pattern of all subjects.
const allSubjects = ">"

// transformedPatterns returns the patterns that a transform makes of a stream's subjects. No
// transform changes nothing.
func transformedPatterns(subjects []string, t *jetstream.SubjectTransformConfig) (patterns []string) {
	if t == nil {
		return slices.Clone(subjects)
	}
	source := cmp.Or(t.Source, allSubjects)
	for _, subject := range subjects {
		if bus.Overlap(subject, source) {
			patterns = append(patterns, destinationPattern(t.Destination))
		}
		if !bus.Match(source, subject) {
			patterns = append(patterns, subject)
		}
	}
	return patterns
}

// destinationPattern returns the pattern of the subjects that a transform's destination stands for.
// A token that is taken from the source or computed may be anything; a function that splits a token
// may make any number of them.
func destinationPattern(destination string) string {
	tokens := strings.Split(destination, ".")
	for i, token := range tokens {
		switch {
		case !isPlaceholder(token):
		case mayMakeTokens(token):
			return strings.Join(append(tokens[:i:i], allSubjects), ".")
		default:
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// isPlaceholder reports whether a token of a destination is a placeholder: $1 or {{function(1)}}.
func isPlaceholder(token string) bool {
	if strings.HasPrefix(token, "{{") && strings.HasSuffix(token, "}}") {
		return true
	}
	_, ok := parseNumber(strings.TrimPrefix(token, "$"))
	return ok && strings.HasPrefix(token, "$")
}

// mayMakeTokens reports whether a function may make several tokens.
func mayMakeTokens(token string) bool {
	name := strings.ToLower(strings.TrimLeft(token, "{ "))
	return strings.HasPrefix(name, "split") || strings.HasPrefix(name, "slice")
}

// copiedFrom returns the patterns under which a source or mirror brings what its origin stores
// under the given patterns.
func copiedFrom(source *jetstream.StreamSource, origin []string) (patterns []string) {
	if len(source.SubjectTransforms) == 0 {
		return intersectPatterns(origin, cmp.Or(source.FilterSubject, allSubjects))
	}
	for _, t := range source.SubjectTransforms {
		selected := intersectPatterns(origin, cmp.Or(t.Source, allSubjects))
		switch {
		case t.Destination == "":
			patterns = append(patterns, selected...)
		case len(selected) > 0:
			patterns = append(patterns, destinationPattern(t.Destination))
		}
	}
	return patterns
}

// intersectPatterns returns what patterns have in common with a filter.
func intersectPatterns(patterns []string, filter string) (out []string) {
	for _, p := range patterns {
		switch {
		case !bus.Overlap(p, filter):
		case bus.Match(p, filter):
			out = append(out, filter)
		default:
			out = append(out, p)
		}
	}
	return out
}

// overlapsAny reports whether one of the patterns may match a subject that the topic matches.
func overlapsAny(patterns []string, topic string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return bus.Overlap(p, topic) })
}

// coversAny reports whether one of the patterns may match a subject that the topic covers.
func coversAny(patterns []string, topic string) bool {
	return overlapsAny(patterns, bus.FilterOf(topic))
}

// renamedAway reports why events that are published to the topic are not found under it in the
// stream: all of them, or some. Nil: the stream renames none of them, or only to what the
// topic matches too.
func renamedAway(c *jetstream.StreamConfig, topic string) error {
	t := c.SubjectTransform
	if t == nil {
		return nil
	}
	topic = bus.FilterOf(topic)
	source, to := cmp.Or(t.Source, allSubjects), destinationPattern(t.Destination)
	if bus.Match(topic, to) || !overlapsAny(intersectPatterns(c.Subjects, topic), source) || !bus.Overlap(source, topic) {
		return nil
	}
	return fmt.Errorf("stream %q stores what is published to %q as %q, where the topic %q does not find it: subscribe to %q, or change the stream's subject transform",
		c.Name, source, t.Destination, topic, to)
}

// takesDirectly reports whether what is published to the topic, or to a part of it, is stored in
// the stream and found under the topic.
func takesDirectly(c *jetstream.StreamConfig, topic string) bool {
	topic = bus.FilterOf(topic)
	return overlapsAny(transformedPatterns(intersectPatterns(c.Subjects, topic), c.SubjectTransform), topic)
}
