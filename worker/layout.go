package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
)

// Publisher returns a publisher on the bus that publishes topics in partitions as
// ConnectOptions.Partitions says.
func (c *Connections) Publisher() bus.Publisher { return c.o.Partitions.Publisher(c.bus) }

// GroupLayout returns in how many partitions a group reads its topics: what its live members say of
// themselves or, of a topic that none of them names, the plan of who owned its partitions last. It
// blocks for two readings of the group's store, and retries nothing.
func (c *Connections) GroupLayout(ctx context.Context, name string) (bus.Layout, error) {
	store, err := c.GroupStore(ctx)
	if err != nil {
		return nil, err
	}
	members, err := group.Members(ctx, store, name)
	if err != nil {
		return nil, err
	}
	plans, err := group.Plans(ctx, store, name)
	if err != nil {
		return nil, err
	}
	return layoutOf(members, plans)
}

// layoutOf is in how many partitions topics are read. The plan of one partition is that of an
// exclusive topic, which has no partitions, unless a member says something else.
func layoutOf(members []group.Member, plans []group.Plan) (bus.Layout, error) {
	layout := make(bus.Layout)
	for i := range plans {
		if p := &plans[i]; p.Unreadable == "" && p.Of > 1 {
			layout[p.Topic] = p.Of
		}
	}
	for i := range members {
		for j := range members[i].Subscriptions {
			s := &members[i].Subscriptions[j]
			if s.Order == "" {
				continue // it is of an older version, or no subscription
			}
			order, err := consumer.ParseOrder(s.Order)
			if err != nil {
				return nil, fmt.Errorf("the order that member %s of the group reports for %q: %w: use the same version as its workers", members[i].ID, s.Topic, err)
			}
			if n := order.NumPartitions(); n > 0 {
				layout[s.Topic] = n
			} else {
				delete(layout, s.Topic)
			}
		}
	}
	return layout, nil
}

// provisionPartitions makes the streams of topics with partitions that are missing, where streams
// are made: a stream for the topic alone would not take them.
func (c *Connections) provisionPartitions(ctx context.Context, handlers []handlerSpec) error {
	b, ok := c.bus.(*natsbus.Bus)
	if !ok || !c.Provisions() {
		return nil
	}
	var topics []string
	for i := range handlers {
		if n := handlers[i].order().NumPartitions(); n > 0 {
			topics = append(topics, bus.Partition{Topic: handlers[i].topic, Of: n}.Name())
		}
	}
	for topic, n := range c.o.Partitions {
		if at := (bus.Partition{Topic: topic, Of: n}.Name()); !slices.Contains(topics, at) {
			topics = append(topics, at)
		}
	}
	for _, topic := range topics {
		if err := b.Provision(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

// order is that of the subscription.
func (h *handlerSpec) order() consumer.Order {
	if h.options == nil {
		return consumer.ByKey
	}
	return h.options.Order
}
