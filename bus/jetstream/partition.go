package jetstream

import (
	"context"
	"errors"
	"strings"
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
// consumer reads: a foreign client, for Publish does not. Whoever subscribes to partition 0 looks
// for all of them.
func (b *Bus) warnOfUnread(ctx context.Context, stream *jetstream.StreamInfo, topic string) {
	layout, ok := strings.CutSuffix(topic, ".0")
	if !ok || bus.SubjectOf(topic) == topic || b.o.BindOnly {
		return
	}
	m, err := b.requestMessage(ctx, "look for events beside partitions", stream.Config.Name, messageRequest{Sequence: 1, Subject: layout + ".*"})
	switch {
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		b.log.Debug("cannot see whether events lie beside the partitions", "topic", layout, "error", err)
	case m != nil && bus.SubjectOf(m.Subject) != m.Subject:
		b.log.Error("events lie beside a partition, where they are never handled: publish them to "+bus.SubjectOf(m.Subject)+", or with bus.Partitioned",
			"subject", m.Subject, "first_sequence", m.Sequence, "stream", stream.Config.Name)
	}
}
