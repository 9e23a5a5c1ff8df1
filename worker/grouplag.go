package worker

import (
	"context"
	"errors"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// sharesTopic reports whether processes of the group have parts of the topic, or stand by, so that
// none of them knows from its own what the group has not handled.
func (s *runningSubscription) sharesTopic() bool {
	return s.options.Order == consumer.Exclusive || s.options.Order.NumPartitions() > 0
}

// groupLag is what the whole group has not handled. cursors is how many cursors the group has on
// the topic: fewer than there are partitions while some have never had an owner.
func (s *runningSubscription) groupLag(ctx context.Context) (lag consumer.Lag, cursors int, err error) {
	lister, ok := s.bus.(bus.CursorLister)
	if !ok || !s.sharesTopic() {
		lag, err = s.sub.Lag(ctx)
		return lag, 1, err
	}
	all, err := lister.Cursors(ctx, s.group)
	if errors.Is(err, errors.ErrUnsupported) { // then this process's own part is all that can be told
		lag, err = s.sub.Lag(ctx)
		return lag, len(s.sub.Partitions()), err
	}
	for _, c := range all {
		if s.readsFrom(c.Topic) {
			lag.Pending, lag.Unsettled, cursors = lag.Pending+c.Pending, lag.Unsettled+c.Unsettled, cursors+1
		}
	}
	return lag, cursors, err
}

// readsFrom reports whether the group's cursor on a topic is one of this subscription.
func (s *runningSubscription) readsFrom(topic string) bool {
	if s.options.Order == consumer.Exclusive {
		return topic == s.topic
	}
	p, ok := bus.ParsePartition(topic)
	return ok && p.Topic == s.topic && p.Of == s.options.Order.NumPartitions()
}

// partitionsOf is how many partitions the topic has, 1 where it is one by itself, and so how many
// cursors the group has on it once each of them had an owner.
func (s *runningSubscription) partitionsOf() int { return max(1, s.options.Order.NumPartitions()) }
