package jetstream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// A topic that no stream lists among its subjects may be in one all the same: renamed by a subject
// transform, copied from another stream, or stored before the stream's subjects were changed.

// unlistedStream finds the one stream that stores events under the topic although none lists it.
// One that only has old events of the topic, and gets no further ones, is refused: whether those
// are meant must be said with Options.Stream. It is ErrNoStream when there is neither, and also
// when this user may not look: a warning says so.
func (b *Bus) unlistedStream(ctx context.Context, topic string) (*jetstream.StreamInfo, error) {
	if b.o.BindOnly {
		return nil, noStreamError{topic} // It takes permissions more, and nothing is made that could be the wrong one.
	}
	all, err := b.allStreams(ctx)
	if err != nil {
		b.log.Warn("cannot see whether a stream holds events of a topic that none lists: may this user list streams?", "topic", topic, "error", err)
		return nil, noStreamError{topic}
	}
	origin := func(name string) *jetstream.StreamInfo { return all[name] }
	var names []string
	for name, info := range all {
		if patterns, _ := storedUnder(&info.Config, origin, maxHops); coversAny(patterns, topic) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		if names, err = b.streamsHolding(ctx, all, topic); err != nil {
			b.log.Warn("cannot see whether a stream holds events of a topic that none lists: may this user read them?", "topic", topic, "error", err)
		}
	}
	name, err := onlyName(topic, names)
	if err != nil {
		return nil, err
	}
	if patterns, known := storedUnder(&all[name].Config, origin, maxHops); known && !coversAny(patterns, topic) {
		return nil, fmt.Errorf("jetstream: no stream takes topic %q, but stream %q holds events of it (its subjects are %q): "+
			"name it in Options.Stream to handle those, add the topic to its subjects with nats stream edit, or make a stream for new ones with\n\t%s",
			topic, name, all[name].Config.Subjects, streamAddCommand(topic))
	}
	return all[name], nil
}

// streamsHolding are the streams that have events of the topic.
func (b *Bus) streamsHolding(ctx context.Context, all map[string]*jetstream.StreamInfo, topic string) (names []string, err error) {
	for name, info := range all {
		if info.State.Msgs == 0 {
			continue
		}
		held, err := b.streamHolds(ctx, name, topic, 1)
		if err != nil {
			return nil, err
		}
		if held {
			names = append(names, name)
		}
	}
	return names, nil
}

// allStreams lists the account's streams, by name.
func (b *Bus) allStreams(ctx context.Context) (map[string]*jetstream.StreamInfo, error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	all := map[string]*jetstream.StreamInfo{}
	list := b.js.ListStreams(ctx)
	for info := range list.Info() {
		all[info.Config.Name] = info
	}
	return all, b.wrapRequestError("list streams", list.Err())
}

// maxHops bounds how far a stream's events are followed back through streams that copy streams.
const maxHops = 8

// storedUnder returns the patterns under which a stream stores events. It is not known if an origin
// cannot be read, such as one in another domain: what comes from there may be stored under any
// subject that its transforms and filters let through.
func (b *Bus) storedUnder(ctx context.Context, c *jetstream.StreamConfig) (patterns []string, known bool) {
	return storedUnder(c, func(name string) *jetstream.StreamInfo {
		ctx, cancel := b.withOptionalTimeout(ctx)
		defer cancel()
		info, err := b.streamInfo(ctx, name)
		if err != nil {
			b.log.Debug("the origin of a stream cannot be read", "origin", name, "error", err)
		}
		return info
	}, maxHops)
}

func storedUnder(c *jetstream.StreamConfig, origin func(string) *jetstream.StreamInfo, hops int) (patterns []string, known bool) {
	patterns, known = transformedPatterns(c.Subjects, c.SubjectTransform), true
	for _, source := range append(slices.Clone(c.Sources), c.Mirror) {
		if source == nil {
			continue
		}
		var from *jetstream.StreamInfo
		if hops > 0 && source.External == nil && source.Domain == "" {
			from = origin(source.Name)
		}
		stored, all := []string{allSubjects}, false
		switch {
		case from != nil:
			stored, all = storedUnder(&from.Config, origin, hops-1)
		case source.FilterSubject == "" && len(source.SubjectTransforms) == 0:
			stored = nil // It may be anything: that says nothing of one topic.
		}
		patterns, known = append(patterns, copiedFrom(source, stored)...), known && all
	}
	return patterns, known
}

// withOptionalTimeout bounds a request that this user may not be allowed to make: what is refused
// is not answered.
func (b *Bus) withOptionalTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.o.BindOnly {
		return context.WithTimeout(ctx, min(b.o.APITimeout, time.Second))
	}
	return b.withAPITimeout(ctx)
}

// streamHolds reports whether a stream has an event of the topic, at a sequence or after it.
// Without the permission to look it is errors.ErrUnsupported.
func (b *Bus) streamHolds(ctx context.Context, stream, topic string, from uint64) (bool, error) {
	m, err := b.nextMessage(ctx, fmt.Sprintf("look for topic %q in stream %q", topic, stream), stream, []string{bus.FilterOf(topic)}, from)
	return m != nil, err
}

// routeFault reports why events of the topic may not reach a group that reads it from this stream:
// the stream renames them, or no longer gets any.
func (b *Bus) routeFault(ctx context.Context, c *jetstream.StreamConfig, topic string) error {
	if err := renamedAway(c, topic); err != nil {
		return err
	}
	if patterns, known := b.storedUnder(ctx, c); known && !coversAny(patterns, topic) {
		return fmt.Errorf("stream %q gets no further events of topic %q: its subjects are %q", c.Name, topic, c.Subjects)
	}
	return nil
}

// otherStreamFault reports which other stream takes a part of what is published to the topic. What
// this user may not ask is nobody's.
func (b *Bus) otherStreamFault(ctx context.Context, c *jetstream.StreamConfig, topic string) error {
	if b.o.Stream != "" || b.o.BindOnly {
		return nil
	}
	filter := bus.FilterOf(topic)
	if slices.ContainsFunc(c.Subjects, func(subject string) bool { return bus.Match(subject, filter) }) {
		return nil // No other stream can take any of it.
	}
	names, err := b.streamNames(ctx, filter)
	if err != nil {
		b.log.Debug("cannot see whether another stream takes a part of a topic", "topic", topic, "error", err)
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == c.Name })
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("topic %q is read from stream %q, and the streams %q take a part of it, which this group does not receive: "+
		"subscribe to that part as well, or to narrower topics", topic, c.Name, names)
}
