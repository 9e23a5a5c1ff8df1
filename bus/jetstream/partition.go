package jetstream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// warnOfDeliveries logs what a group will miss of a topic, or be given twice.
func (b *Bus) warnOfDeliveries(ctx context.Context, stream *jetstream.StreamInfo, topic string, ackWait time.Duration) {
	b.warnOfPings(ackWait)
	b.warnOfUnread(ctx, stream, topic)
}

// warnOfUnread logs that somebody has published to the topic of a partition as it is, where no
// consumer reads: a foreign client, for Publish does not.
func (b *Bus) warnOfUnread(ctx context.Context, stream *jetstream.StreamInfo, topic string) {
	if bus.SubjectOf(topic) == topic || b.o.BindOnly {
		return
	}
	m, err := b.requestMessage(ctx, "look for events beside a partition", stream.Config.Name, messageRequest{Last: topic})
	switch {
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		b.log.Debug("cannot see whether events lie beside a partition", "topic", topic, "error", err)
	case m != nil:
		b.log.Error("events lie beside a partition, where they are never handled: publish them to "+bus.SubjectOf(topic)+", or with bus.Partitioned",
			"subject", topic, "last_sequence", m.Sequence, "stream", stream.Config.Name)
	}
}
