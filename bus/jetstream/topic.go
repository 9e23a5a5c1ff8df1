package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// Topic implements bus.Bus. Of a stream it makes nothing unless Options.Provision is set. An empty
// group asks for who publishes, and is never known: then the stream that takes what is published to
// the topic counts, under whichever subject it stores that. It does not retry.
func (b *Bus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	if err := validStart(from); err != nil {
		return bus.TopicInfo{}, err
	}
	stream, err := b.streamFor(ctx, topic, group)
	if err != nil {
		return bus.TopicInfo{}, err
	}
	info := bus.TopicInfo{
		First:     firstPosition(stream),
		Last:      lastPosition(stream),
		Limits:    limitsOfStream(&stream.Config),
		WorkQueue: stream.Config.Retention == jetstream.WorkQueuePolicy,
		Interest:  stream.Config.Retention == jetstream.InterestPolicy,
		MaxAge:    max(0, stream.Config.MaxAge),
		MaxBytes:  b.maxBytes(&stream.Config),
		ReadOnly:  !takesDirectly(&stream.Config, topic),

		MaxHeaderBytes:  maxHeaderBytes,
		RefusesWhenFull: stream.Config.Discard == jetstream.DiscardNew && (stream.Config.MaxMsgs > 0 || stream.Config.MaxBytes > 0),
	}
	if group != "" {
		_, err := b.consumerInfo(ctx, stream.Config.Name, ConsumerName(group, topic))
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return bus.TopicInfo{}, err
		}
		info.Known = err == nil
	}
	if info.Known {
		from = bus.Start{}
	}
	info.Start = startPosition(stream, from)
	return info, nil
}

// maxHeaderBytes is what the server takes of headers, whatever its limit on messages.
const maxHeaderBytes = 1<<16 - 1

func (b *Bus) maxBytes(config *jetstream.StreamConfig) int {
	limit := b.nc.MaxPayload()
	if size := int64(config.MaxMsgSize); size > 0 && (limit <= 0 || size < limit) {
		limit = size
	}
	return int(min(max(limit, 0), math.MaxInt32))
}

func firstPosition(stream *jetstream.StreamInfo) bus.Position {
	if stream.State.Msgs == 0 {
		return bus.Position{}
	}
	return bus.Position{Stream: incarnationOf(stream), Sequence: stream.State.FirstSeq, Stored: stream.State.FirstTime}
}

func lastPosition(stream *jetstream.StreamInfo) bus.Position {
	if stream.State.LastSeq == 0 {
		return bus.Position{}
	}
	return bus.Position{Stream: incarnationOf(stream), Sequence: stream.State.LastSeq, Stored: stream.State.LastTime}
}

// limitsOfStream are those that drop events whether they were handled or not. A stream that refuses
// new events instead drops none for its size.
func limitsOfStream(config *jetstream.StreamConfig) bus.Limits {
	l := bus.Limits{EventTTL: config.AllowMsgTTL}
	if config.Discard == jetstream.DiscardOld {
		l.Events, l.Bytes = max(0, config.MaxMsgs), max(0, config.MaxBytes)
	}
	if !config.DiscardNewPerSubject {
		l.EventsPerTopic = max(0, config.MaxMsgsPerSubject)
	}
	return l
}

// startPosition is the watermark of a group that starts at from.
func startPosition(stream *jetstream.StreamInfo, from bus.Start) bus.Position {
	at := bus.Position{Stream: incarnationOf(stream), Stored: from.Time}
	if from.Latest && stream.State.LastSeq > 0 {
		at.Sequence, at.Stored = stream.State.LastSeq, stream.State.LastTime
		if at.Stored.IsZero() {
			// Of an emptied stream a server may have forgotten it. There is nothing left to cover
			// then, and any time up to the next event's will do.
			at.Stored = stream.Created
		}
	}
	return at
}

func validStart(from bus.Start) error {
	if from.Latest && !from.Time.IsZero() {
		return fmt.Errorf("jetstream: Start.Latest and Start.Time %v exclude each other", from.Time)
	}
	return nil
}
