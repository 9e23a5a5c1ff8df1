package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// orderForm is an order as the file says it, for a JSON Schema.
const orderForm = `^(key|none|topic|exclusive|partitions:([1-9][0-9]{0,2}|10[01][0-9]|102[0-4]))$`

// orderNames are the orders of a subscription, for people.
var orderNames = []string{"key", "none", "topic", "exclusive", "partitions:8"}

// orderField is which events of a subscription run one after the other.
func orderField[S any](name string, at func(*S) *consumer.Order) *scalarField[S, consumer.Order] {
	wants := orList(orderNames)
	l := newScalarField(name, "one of", wants, at, func(s string) (consumer.Order, error) {
		o, err := consumer.ParseOrder(s)
		if n, ok := strings.CutPrefix(s, "partitions:"); err != nil && ok {
			return o, fmt.Errorf("%s is not a number of partitions from 1 to %d: write partitions:8", quoteShort(n), bus.MaxPartitions)
		}
		if err != nil {
			return o, fmt.Errorf("%s is none of %s%s", quoteShort(s), wants, didYouMean(s, orderNames))
		}
		return o, nil
	}, consumer.Order.String)
	l.values = slices.Concat(orderNames[:len(orderNames)-1], []string{"partitions:N"})
	l.jsonShape = map[string]any{"type": "string", "pattern": orderForm}
	return l.withDefault(consumer.ByKey)
}

// Partitions returns how many partitions the subscription reads; 0: it is not partitioned.
func (s *Subscription) Partitions() int { return s.Order.NumPartitions() }

// readsPartitionsUnder reports whether another subscription's topic takes events of this one's
// partitions.
func (s *Subscription) readsPartitionsUnder(other string) bool {
	return s.Partitions() > 0 && bus.ValidTopic(s.Topic) == nil && bus.Overlap(s.Topic+".>", other)
}

// checkOrder refuses an order that the topic cannot have, and one whose events this process
// publishes elsewhere.
func (c *Config) checkOrder(r *configReader, at string, s *Subscription) {
	topic, order := at+".topic", at+".order"
	if r.hasMistake[topic] || r.hasMistake[order] {
		return
	}
	n, shown := s.Partitions(), r.shownValue(topic, quoteShort(s.Topic))
	if p, ok := bus.ParsePartition(s.Topic); ok {
		r.reportMistake(topic, "%s is a partition: subscribe to %s, with order: partitions:%d", shown, r.shownValue(topic, quoteShort(p.Topic)), p.Of)
		return
	}
	if (n > 0 || s.Order == consumer.Exclusive) && bus.ValidTopic(s.Topic) != nil {
		r.reportMistake(order, "%s is a pattern, and this order is for one topic: write a subscription for each topic, or another order", shown)
		return
	}
	published := c.Partitions[s.Topic]
	switch {
	case published == n || r.hasMistake[string(SectionPartitions)]:
	case n == 0:
		r.reportMistake(order, "this process publishes %s to %d partitions (partitions), which order %s does not read: write order: partitions:%d", shown, published, r.shownValue(order, s.Order.String()), published)
	case published > 0:
		r.reportMistake(order, "it is %s, and this process publishes %s to %d partitions (partitions): write the same number in both places", r.shownValue(order, s.Order.String()), shown, published)
	}
}

// checkPartitions refuses events that this process publishes to a topic, and not to the partitions
// that a subscription of its own reads.
func (c *Config) checkPartitions(r *configReader) {
	for i := range c.Subscriptions {
		h, at := c.Subscriptions[i].Handler.Publish, entryPath(string(SectionSubscriptions), i)+".handler.publish.topic"
		if h == nil || r.hasMistake[at] || c.Partitions[h.Topic] > 0 {
			continue
		}
		for j := range c.Subscriptions {
			s := &c.Subscriptions[j]
			if s.Partitions() > 0 && s.Topic == h.Topic && !r.hasMistake[string(SectionPartitions)] {
				r.reportMistake(at, "subscriptions[%d] reads %s in partitions, and this process does not publish to them: write it with their number below partitions, at the top of the file",
					j, r.shownValue(at, quoteShort(h.Topic)))
			}
		}
	}
}
