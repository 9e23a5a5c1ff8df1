package worker

import (
	"context"
	"errors"
	"log/slog"

	"github.com/onceish/onceish/bus"
)

// provisioningPublisher is a publisher that makes streams for topics that have none. Their
// events are published with the next try.
type provisioningPublisher struct {
	bus bus.Bus
	log *slog.Logger
}

// Publish implements bus.Publisher.
func (p provisioningPublisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts, err := p.bus.Publish(ctx, events...)
	asked := make(map[string]bool)
	for i := range min(len(receipts), len(events)) {
		r, topic := receipts[i], events[i].Topic
		if !errors.Is(r.Err, bus.ErrNoStream) || asked[topic] {
			continue
		}
		asked[topic] = true
		if _, failed := p.bus.Topic(ctx, topic, "", bus.Start{}); failed != nil {
			p.log.Warn("outbox: a topic has no stream, and none could be made", "topic", topic, "error", failed)
		}
	}
	return receipts, err
}
