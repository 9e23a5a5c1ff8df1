package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// consumerPart is the durable consumer of the group on a topic, which the worker makes.
type consumerPart struct {
	api          *streamAPI
	bus          *natsbus.Bus
	topic, group string
	partitions   int // of the topic, of which this is about the first; 0: none
}

func (p *planner) consumers() (parts []part) {
	for i := range p.c.Subscriptions {
		s := &p.c.Subscriptions[i]
		topic := bus.Partition{Topic: s.Topic, Of: s.Partitions()}.Name()
		parts = append(parts, &consumerPart{api: p.api, bus: p.bus, topic: topic, group: p.c.Group, partitions: s.Partitions()})
	}
	return parts
}

// examine implements part.
func (c *consumerPart) examine(ctx context.Context) (Item, func(context.Context) error) {
	item := Item{Kind: KindConsumer, Name: natsbus.ConsumerName(c.group, c.topic), Action: Keep}
	err := c.find(ctx, item.Name)
	switch {
	case errors.Is(err, bus.ErrNoStream), errors.Is(err, jetstream.ErrConsumerNotFound):
		item.Action, item.Why, item.Command = Manual, "the worker makes it, once it has stored where the group starts", "worker run"
		if c.partitions > 1 {
			item.Why = fmt.Sprintf("the workers make it, and those of the other partitions, %d in all, once they have stored where the group starts", c.partitions)
		}
	case err != nil:
		return item.refused(err), nil
	}
	return item, nil
}

func (c *consumerPart) find(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	stream, err := c.bus.FindStream(ctx, c.topic, c.group)
	if err != nil {
		return err
	}
	_, err = c.api.js.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	return c.api.explain(err, "CONSUMER.INFO."+stream+"."+name)
}
