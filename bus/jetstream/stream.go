package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/shell"
)

// findStream finds the stream that a group reads the topic from, which may be a pattern. The topic
// is what events are stored under: a stream that stores none of what is published to it under the
// topic is refused with the reason.
func (b *Bus) findStream(ctx context.Context, topic string) (*jetstream.StreamInfo, error) {
	info, err := b.chosenStream(ctx, topic, func(c *jetstream.StreamConfig) bool { return b.mayHold(ctx, c, topic) })
	if info != nil || err != nil {
		return info, err
	}
	info, err = b.listedStream(ctx, topic, bus.FilterOf(topic))
	switch {
	case errors.Is(err, bus.ErrNoStream):
		return b.unlistedStream(ctx, topic)
	case err != nil:
		return nil, err
	}
	if err := renamedAway(&info.Config, topic); err != nil {
		return nil, fmt.Errorf("jetstream: %w, or name the stream in Options.Stream", err)
	}
	return info, nil
}

// FindStream returns the name of the stream that a group reads the topic from or, without a group,
// of the one where events published to it go. It makes none: bus.ErrNoStream is returned where
// there is none, also with Options.Provision. The topic may be a pattern. It is safe for concurrent
// use, and does not retry.
func (b *Bus) FindStream(ctx context.Context, topic, group string) (string, error) {
	find := b.findStream
	if group == "" {
		find = b.publishedStream
	}
	info, err := find(ctx, topic)
	if err != nil {
		return "", err
	}
	return info.Config.Name, nil
}

// publishedStream is the stream of Options.Stream if it takes what is published to the topic, or
// else the one that lists it.
func (b *Bus) publishedStream(ctx context.Context, topic string) (*jetstream.StreamInfo, error) {
	info, err := b.chosenStream(ctx, topic, func(c *jetstream.StreamConfig) bool { return overlapsAny(c.Subjects, bus.SubjectOf(topic)) })
	if info != nil || err != nil {
		return info, err
	}
	return b.listedStream(ctx, topic, bus.SubjectOf(topic))
}

// chosenStream is the one of Options.Stream, if it fits; nil: the topic is looked up.
func (b *Bus) chosenStream(ctx context.Context, topic string, fits func(*jetstream.StreamConfig) bool) (*jetstream.StreamInfo, error) {
	if err := bus.ValidPattern(topic); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	if b.o.Stream == "" {
		return nil, nil //nolint:nilnil // none is chosen
	}
	info, err := b.streamInfo(ctx, b.o.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) || err == nil && !fits(&info.Config) {
		return nil, nil //nolint:nilnil // the topic is looked up
	}
	return info, err
}

// mayHold reports whether the topic may be in the stream of Options.Stream. It is trusted: what it
// does not say is not held against it.
func (b *Bus) mayHold(ctx context.Context, c *jetstream.StreamConfig, topic string) bool {
	patterns, known := b.storedUnder(ctx, c)
	if coversAny(patterns, topic) {
		return true
	}
	if held, err := b.streamHolds(ctx, c.Name, topic, 1); err == nil && held {
		return true
	}
	if known {
		return false
	}
	names, err := b.streamNames(ctx, bus.FilterOf(topic))
	return err != nil || len(names) == 0
}

// listedStream finds the one stream that lists the pattern, which stands for a topic, or a part of
// it, among its subjects: where events published to it go.
func (b *Bus) listedStream(ctx context.Context, topic, pattern string) (*jetstream.StreamInfo, error) {
	names, err := b.streamNames(ctx, pattern)
	if err != nil {
		return nil, err
	}
	name, err := onlyName(topic, names)
	if err != nil {
		return nil, err
	}
	info, err := b.streamInfo(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, noStreamError{topic}
	}
	return info, err
}

// streamFor is where a group reads the topic or, without a group, where events are published to it.
// Where Options.Provision is set a missing one is made.
func (b *Bus) streamFor(ctx context.Context, topic, group string) (info *jetstream.StreamInfo, err error) {
	find := b.findStream
	if group == "" {
		find = b.publishedStream
	}
	if b.o.Provision == nil {
		return find(ctx, topic)
	}
	err = b.retryWhileMade(ctx, func(ctx context.Context) (err error) {
		if info, err = find(ctx, topic); errors.Is(err, bus.ErrNoStream) {
			if err = b.Provision(ctx, topic); err == nil {
				info, err = find(ctx, topic)
			}
		}
		return err
	})
	return info, err
}

// streamNames are those of the streams that list the topic, or a part of it, among their
// subjects. Empty: all.
func (b *Bus) streamNames(ctx context.Context, topic string) (names []string, err error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	list := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(topic))
	for name := range list.Name() {
		names = append(names, name)
	}
	return names, b.wrapRequestError(fmt.Sprintf("look up the streams of topic %q", topic), list.Err())
}

func (b *Bus) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, b.wrapRequestError(fmt.Sprintf("read stream %q", name), err)
	}
	return s.CachedInfo(), nil
}

// deletedAfter counts the events that were deleted from the inside of a stream beyond a sequence.
// Of very many it does not ask which they are, and counts all. Where there may be
// schedules it counts none: those that are done are deleted.
func (b *Bus) deletedAfter(ctx context.Context, stream *jetstream.StreamInfo, sequence uint64) (uint64, error) {
	const many = 100_000
	inside := stream.State.NumDeleted
	if inside <= 0 || stream.Config.AllowMsgSchedules || stream.Config.Retention != jetstream.LimitsPolicy {
		return 0, nil
	}
	if inside > many {
		return min(uint64(inside), saturatingSub(stream.State.LastSeq, sequence)), nil
	}
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, stream.Config.Name)
	if err == nil {
		stream, err = s.Info(ctx, jetstream.WithDeletedDetails(true))
	}
	if err != nil {
		return 0, b.wrapRequestError(fmt.Sprintf("read what was deleted from stream %q", stream.Config.Name), err)
	}
	n := uint64(0)
	for _, deleted := range stream.State.Deleted {
		if deleted > sequence {
			n++
		}
	}
	return n, nil
}

// noStreamError is bus.ErrNoStream for a topic to publish or to subscribe to.
type noStreamError struct{ topic string }

func (e noStreamError) Error() string {
	return fmt.Sprintf("jetstream: %v %q: make one with\n\t%s\nor let Onceish make it: Options.Provision, --provision",
		bus.ErrNoStream, e.topic, streamAddCommand(e.topic))
}

func (noStreamError) Unwrap() error { return bus.ErrNoStream }

// onlyName returns the name of the one stream that has the topic.
func onlyName(topic string, names []string) (string, error) {
	switch len(names) {
	case 0:
		return "", noStreamError{topic}
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("jetstream: %w: %q matches %s: narrow the topic, or choose one: nats: {stream: NAME}, --nats-stream, or Options.Stream",
		ErrSeveralStreams, topic, strings.Join(slices.Sorted(slices.Values(names)), ", "))
}

func streamAddCommand(topic string) string {
	return fmt.Sprintf("nats stream add %s --subjects %s --storage file --retention limits --defaults",
		StreamName(topic), shell.Quote(bus.FilterOf(topic)))
}

// incarnationOf tells a stream from one of the same name that was deleted before.
func incarnationOf(info *jetstream.StreamInfo) string {
	return fmt.Sprintf("%s@%d", info.Config.Name, info.Created.UnixNano())
}
