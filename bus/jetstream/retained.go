package jetstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// Retained returns how many events of a topic its stream has, and how long before the stream's last
// event its first one was stored. For a pattern or a partition all events of the stream are
// counted. Of a stream that deletes what is handled (work queue, interest) it is nothing. It does
// not retry, and takes $JS.API.STREAM.NAMES and $JS.API.STREAM.INFO.<stream>.
func (b *Bus) Retained(ctx context.Context, topic string) (events uint64, over time.Duration, err error) {
	found, err := b.findStream(ctx, topic)
	if err != nil || found.Config.Retention != jetstream.LimitsPolicy {
		return 0, 0, err
	}
	over = found.State.LastTime.Sub(found.State.FirstTime)
	if strings.ContainsAny(topic, "*>") || bus.FilterOf(topic) != topic {
		return found.State.Msgs, over, nil
	}
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	doing := fmt.Sprintf("count events of topic %q in stream %q", topic, found.Config.Name)
	stream, err := b.js.Stream(ctx, found.Config.Name)
	if err != nil {
		return 0, 0, b.wrapRequestError(doing, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(topic))
	if err != nil {
		return 0, 0, b.wrapRequestError(doing, err)
	}
	return info.State.Subjects[topic], over, nil
}
