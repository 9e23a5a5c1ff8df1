package config

import (
	"maps"
	"slices"

	"github.com/onceish/onceish/bus"
)

// PartitionsOf returns in how many partitions the file has a topic: those that a subscription
// reads, or else those that the process publishes to. 0: none.
func (c *Config) PartitionsOf(topic string) int {
	for i := range c.Subscriptions {
		if s := &c.Subscriptions[i]; s.Topic == topic && s.Partitions() > 0 {
			return s.Partitions()
		}
	}
	return c.Partitions[topic]
}

// PartitionedTopics are all topics for which PartitionsOf is not 0, sorted.
func (c *Config) PartitionedTopics() []string {
	topics := maps.Clone(c.Partitions)
	if topics == nil {
		topics = make(map[string]int)
	}
	for i := range c.Subscriptions {
		if n := c.Subscriptions[i].Partitions(); n > 0 {
			topics[c.Subscriptions[i].Topic] = n
		}
	}
	return slices.Sorted(maps.Keys(topics))
}

// checkByKey refuses a topic that has no partitions in the file, or that the stream does not take.
func (c *Config) checkByKey(r *configReader, i int) {
	s, at := &c.Provision.Streams[i], entryPath("provision.streams", i)+".by_key"
	if s.ByKey == "" || r.hasMistake[at] {
		return
	}
	shown := r.shownValue(at, quoteShort(s.ByKey))
	switch {
	case c.PartitionsOf(s.ByKey) == 0:
		r.reportMistake(at, "in how many partitions %s is, nothing says: write it below partitions, at the top of the file, or order: partitions:8 for its subscription", shown)
	case !s.matchesAll(r, at, s.ByKey+".by.key"):
		r.reportMistake(at, "the stream does not take what is below %s: add that topic with .> to its subjects", shown)
	}
}

// checkTakesPartitions refuses a stream that takes a topic, and not its partitions.
func (c *Config) checkTakesPartitions(r *configReader, i int) {
	s, at := &c.Provision.Streams[i], entryPath("provision.streams", i)+".subjects"
	for _, topic := range c.PartitionedTopics() {
		first := bus.Partition{Topic: topic, Of: c.PartitionsOf(topic)}.Name()
		if bus.ValidTopic(topic) != nil || !s.takes(topic) || s.matchesAll(r, at, bus.SubjectOf(first)) {
			continue
		}
		r.reportMistake(at, "the stream takes %s, and not its partitions below it: add that topic with .> too", c.shownTopic(r, topic))
	}
}

// matchesAll reports whether the stream takes a topic; also if a subject is wrong by itself, for
// that is enough.
func (s *Stream) matchesAll(r *configReader, at, topic string) bool {
	return slices.ContainsFunc(s.Subjects, func(subject string) bool { return bus.ValidPattern(subject) != nil || bus.Match(subject, topic) }) ||
		r.hasMistake[parentPath(at)+".subjects"]
}

// shownTopic is a topic with partitions as it may be shown.
func (c *Config) shownTopic(r *configReader, topic string) string {
	for i := range c.Subscriptions {
		if c.Subscriptions[i].Topic == topic {
			return r.shownValue(entryPath(string(SectionSubscriptions), i)+".topic", quoteShort(topic))
		}
	}
	return quoteShort(topic)
}
