package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/natsserver"
)

const (
	// resettingServer is the first release of nats-server that resets a consumer to its floor.
	resettingServer = "2.14.0"
	// metadataServer is where a server says its version in the configuration of a consumer.
	metadataServer = "_nats.ver"
	// rewindTimeout is how long the pulls of others are waited for: those that had stopped pulling
	// before have ended by then.
	rewindTimeout = pullExpires + 2*pullGrace
	// rewindPause is between two looks at the pulls of others, and two tries of what failed.
	rewindPause = 50 * time.Millisecond
)

// rewindConsumer takes a group's consumer back to its floor. What it delivers meanwhile to pulls of
// other processes would not come here first, so it is taken back until there are none. If there
// were some, it is taken back once more: what a replicated consumer delivers while the reset is on
// its way to the replicas is applied after it.
func (b *Bus) rewindConsumer(ctx context.Context, stream *jetstream.StreamInfo, info *jetstream.ConsumerInfo) (*jetstream.ConsumerInfo, error) {
	alone := true
	for limit := time.Now().Add(rewindTimeout); ; {
		if alone && info.Delivered.Consumer == 0 && info.NumAckPending == 0 && info.NumWaiting == 0 {
			return info, nil
		}
		if time.Now().After(limit) {
			return nil, fmt.Errorf("jetstream: rewind consumer %q on stream %q: %d requests of other processes wait for its events: it can only be rewound by a process that is alone on it: stop the others",
				info.Name, info.Stream, info.NumWaiting)
		}
		alone = info.NumWaiting == 0
		var err error
		if info, err = b.rewindOnce(ctx, stream, info); err != nil {
			return nil, err
		}
		if info.NumWaiting > 0 && backoff.Sleep(ctx, rewindPause) != nil {
			return nil, context.Cause(ctx)
		}
	}
}

func (b *Bus) rewindOnce(ctx context.Context, stream *jetstream.StreamInfo, info *jetstream.ConsumerInfo) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	if canReset(info) && !b.recreates {
		return b.resetConsumer(ctx, info)
	}
	return b.recreateConsumer(ctx, stream, info)
}

// canReset reports whether the server that leads a consumer can reset it. One that does not say its
// version is older.
func canReset(info *jetstream.ConsumerInfo) bool {
	version := info.Config.Metadata[metadataServer]
	return version != "" && !natsserver.Older(version, resettingServer)
}

// resetConsumer asks for a reset until ctx ends: while the consumer's leader changes, nobody
// answers.
func (b *Bus) resetConsumer(ctx context.Context, info *jetstream.ConsumerInfo) (*jetstream.ConsumerInfo, error) {
	for {
		answer, err := b.js.ResetConsumer(ctx, info.Stream, info.Name)
		switch {
		case err == nil:
			return answer.ConsumerInfo, nil
		case errors.Is(err, nats.ErrNoResponders) && backoff.Sleep(ctx, rewindPause) == nil:
			continue
		}
		return nil, b.wrapRequestError(fmt.Sprintf("rewind consumer %q on stream %q", info.Name, info.Stream), err)
	}
}

// recreateConsumer deletes the consumer and makes it again, to start behind its floor. If this
// fails in the middle, the group has no cursor: it resumes at its watermark then.
func (b *Bus) recreateConsumer(ctx context.Context, stream *jetstream.StreamInfo, info *jetstream.ConsumerInfo) (*jetstream.ConsumerInfo, error) {
	doing := fmt.Sprintf("rewind consumer %q on stream %q", info.Name, info.Stream)
	config := rewoundConfig(stream, info)
	switch {
	case b.o.BindOnly:
		return nil, fmt.Errorf("jetstream: %s: before nats-server %s it has to be deleted and made again, and Options.BindOnly is set: upgrade the server: %w",
			doing, resettingServer, errors.ErrUnsupported)
	case stream.Config.Retention == jetstream.InterestPolicy:
		return nil, fmt.Errorf("jetstream: %s: before nats-server %s it has to be deleted and made again, and the stream would drop what waits for it: upgrade the server, or choose another retention: %w",
			doing, resettingServer, errors.ErrUnsupported)
	case !startsAgain(config.DeliverPolicy):
		return nil, fmt.Errorf("jetstream: %s: before nats-server %s it has to be deleted and made again, and its deliver policy %q would start it elsewhere until something is acknowledged: upgrade the server: %w",
			doing, resettingServer, config.DeliverPolicy, errors.ErrUnsupported)
	}
	if err := b.js.DeleteConsumer(ctx, info.Stream, info.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, b.wrapRequestError(doing, err)
	}
	made, err := b.js.CreateConsumer(ctx, info.Stream, config)
	if err != nil {
		return nil, b.wrapRequestError(doing, err)
	}
	return made.CachedInfo(), nil
}

// startsAgain reports whether a consumer that is made again with a deliver policy starts where the
// first one did.
func startsAgain(p jetstream.DeliverPolicy) bool {
	return p == jetstream.DeliverAllPolicy || p == jetstream.DeliverByStartSequencePolicy || p == jetstream.DeliverByStartTimePolicy
}

// rewoundConfig is the configuration of a consumer that starts where another one has its floor. Of
// a work queue what is left is what nobody has acknowledged. A consumer without a floor starts
// where it did before: servers without resets keep none until something is acknowledged.
func rewoundConfig(stream *jetstream.StreamInfo, info *jetstream.ConsumerInfo) jetstream.ConsumerConfig {
	c := info.Config
	if floor := floorOf(info); floor > 0 && stream.Config.Retention != jetstream.WorkQueuePolicy {
		c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = jetstream.DeliverByStartSequencePolicy, floor+1, nil
	}
	return c
}

// floorOf is the sequence up to which everything is settled. What lies before a consumer's start
// is.
func floorOf(info *jetstream.ConsumerInfo) uint64 {
	return max(info.AckFloor.Stream, max(info.Config.OptStartSeq, 1)-1)
}

var _ bus.CursorLister = (*Bus)(nil)

// Cursors implements bus.CursorLister. It takes what Groups does.
func (b *Bus) Cursors(ctx context.Context, group string) ([]bus.Cursor, error) {
	groups, err := b.Groups(ctx)
	if errors.Is(err, nats.ErrPermissionViolation) {
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	cursors := []bus.Cursor{}
	for i := range groups {
		if g := &groups[i]; g.Name == group {
			cursors = append(cursors, bus.Cursor{Topic: g.Topic, Pending: g.Pending, Unsettled: g.Unsettled})
		}
	}
	return cursors, nil
}
