package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// ErrNotSubscribed is returned by ReplayTarget when the group is subscribed to other topics.
var ErrNotSubscribed = errors.New("the group has no subscription that covers the topic")

// ReplayTarget returns what a replay of a topic, which may be a pattern, to a group takes: the
// topic of the group's subscription that covers it, and the store with the group's marks. A group
// without a consumer is ErrNoConsumer, one that is subscribed to less ErrNotSubscribed, and a store
// that has nothing of the group ErrNoMarks: there nobody would handle the events, or recognise what
// was done.
func (c *Connections) ReplayTarget(ctx context.Context, group, topic string) (subscription string, store dedupe.Store, err error) {
	if _, err := c.GroupMarks(ctx, group); err != nil {
		return "", nil, err
	}
	if store, err = c.Store(ctx); err != nil {
		return "", nil, err
	}
	groups, err := c.Groups(ctx)
	if err != nil {
		return "", nil, err
	}
	var topics []string
	for _, g := range groups {
		if g.Name != group {
			continue
		}
		subscribed := bus.LogicalTopic(g.Topic)
		if bus.Match(subscribed, topic) || subscribed == logicalPattern(topic) {
			return subscribed, store, nil
		}
		topics = append(topics, subscribed)
	}
	return "", nil, fmt.Errorf("%w: group %q, topic %q: name one within %s", ErrNotSubscribed, group, topic, strings.Join(slices.Compact(topics), ", "))
}

// logicalPattern is the topic that a pattern has partitions of, such as "order.placed.of8.>"; any
// other is its own.
func logicalPattern(topic string) string {
	for _, all := range []string{".>", ".*"} {
		if prefix, ok := strings.CutSuffix(topic, all); ok {
			if p, ok := bus.ParsePartition(prefix + ".0"); ok {
				return p.Topic
			}
		}
	}
	return bus.LogicalTopic(topic)
}
