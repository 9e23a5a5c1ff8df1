package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// stream finds the stream of a topic, which may be a pattern.
func (b *Bus) stream(ctx context.Context, topic string) (*jetstream.StreamInfo, error) {
	if err := bus.ValidPattern(topic); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	if b.o.Stream != "" {
		info, err := b.streamInfo(ctx, b.o.Stream)
		if err == nil && takes(&info.Config, topic) {
			return info, nil
		}
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, err
		}
	}
	names, err := b.streamNames(ctx, topic)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, noStream(topic)
	case len(names) > 1:
		return nil, fmt.Errorf("jetstream: topic %q matches the streams %s, and a subscription reads one: narrow the topic, or choose in Options.Stream",
			topic, strings.Join(names, ", "))
	}
	info, err := b.streamInfo(ctx, names[0])
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, noStream(topic)
	}
	return info, err
}

// streamOrMake is stream, and makes a missing one where that was asked for.
func (b *Bus) streamOrMake(ctx context.Context, topic string) (*jetstream.StreamInfo, error) {
	info, err := b.stream(ctx, topic)
	if b.o.Provision == nil || !errors.Is(err, bus.ErrNoStream) {
		return info, err
	}
	if err := b.Provision(ctx, topic); err != nil {
		return nil, err
	}
	return b.stream(ctx, topic)
}

func (b *Bus) streamNames(ctx context.Context, topic string) ([]string, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	list := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(topic))
	var names []string
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		return nil, b.explain(fmt.Sprintf("look up the stream of topic %q", topic), err)
	}
	return names, nil
}

func (b *Bus) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, b.explain(fmt.Sprintf("read stream %q", name), err)
	}
	return s.CachedInfo(), nil
}

// deletedAfter counts the events that were deleted from the inside of a stream beyond a sequence. Of very many it does not ask which
// they are, and counts all.
func (b *Bus) deletedAfter(ctx context.Context, stream *jetstream.StreamInfo, sequence uint64) (uint64, error) {
	const many = 100_000
	inside := stream.State.NumDeleted
	if inside <= 0 || stream.Config.Retention != jetstream.LimitsPolicy {
		return 0, nil
	}
	if inside > many {
		return min(uint64(inside), minus(stream.State.LastSeq, sequence)), nil
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, stream.Config.Name)
	if err == nil {
		stream, err = s.Info(ctx, jetstream.WithDeletedDetails(true))
	}
	if err != nil {
		return 0, b.explain(fmt.Sprintf("read what was deleted from stream %q", stream.Config.Name), err)
	}
	n := uint64(0)
	for _, deleted := range stream.State.Deleted {
		if deleted > sequence {
			n++
		}
	}
	return n, nil
}

func noStream(topic string) error {
	return fmt.Errorf("jetstream: %w %q: make one with\n\t%s\nor let Onceish make it: Options.Provision, --provision",
		bus.ErrNoStream, topic, streamAddCommand(topic))
}

func streamAddCommand(topic string) string {
	return fmt.Sprintf("nats stream add %s --subjects %s --storage file --retention limits --defaults",
		StreamName(topic), shellQuote(topic))
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// incarnation tells a stream from one of the same name that was deleted before.
func incarnation(info *jetstream.StreamInfo) string {
	return info.Config.Name + "@" + strconv.FormatInt(info.Created.UnixNano(), 10)
}

// takes reports whether events of the topic may be in the stream. A stream that copies others has no subjects of its own.
func takes(config *jetstream.StreamConfig, topic string) bool {
	if config.Mirror != nil || len(config.Sources) > 0 {
		return true
	}
	for _, subject := range config.Subjects {
		if bus.Overlap(subject, topic) {
			return true
		}
	}
	return false
}
