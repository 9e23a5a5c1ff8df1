package projector

import (
	"context"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// DeliverBatch is HandleBatch for events at positions, outside of a subscription.
func (p *Projection) DeliverBatch(ctx context.Context, group string, es []bus.Event, at []bus.Position) []error {
	items := make([]*item, len(es))
	for i, e := range es {
		key := dedupe.Key{Topic: e.Topic, Group: group, ID: e.Identity()}
		items[i] = &item{ctx: consumer.WithAttempt(ctx, consumer.Attempt{Number: 1, Key: key}), event: e, key: key}
		p.plan(items[i], at[i])
	}
	return p.handleItems(ctx, items)
}
