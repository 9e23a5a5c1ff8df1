package provision

import (
	"context"
	"errors"
	"slices"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// topicPart is the stream of a topic that no stream of the configuration takes. One that is there
// is kept as it is.
type topicPart struct {
	bus    *natsbus.Bus
	topic  string
	group  string // who reads it; empty: it is published to
	create *streamPart
	// partitions are what the stream takes beside the topic. Empty: it has none.
	partitions string
}

// topics are those of the subscriptions, of their dead letters and of what handlers publish, unless
// a stream of the section takes them.
func (p *planner) topics() (parts []part) {
	var known []string
	add := func(topic, group string) {
		if p.takes(topic) || slices.ContainsFunc(known, func(k string) bool { return bus.Overlap(k, topic) }) {
			return
		}
		known = append(known, topic)
		t := &topicPart{bus: p.bus, topic: topic, group: group}
		made := natsbus.StreamConfig(topic, &natsbus.Provision{Replicas: p.c.NATS.Replicas})
		if p.c.PartitionsOf(topic) > 0 {
			t.group, t.partitions = "", topic+".>"
			made.Subjects = append(made.Subjects, t.partitions)
		}
		t.create = &streamPart{api: p.api, kind: KindStream, name: made.Name, want: made, given: []string{fieldSubjects}}
		parts = append(parts, t)
	}
	for i := range p.c.Subscriptions {
		s := &p.c.Subscriptions[i]
		add(s.Topic, p.c.Group)
		add(s.DeadLetter, p.c.Group)
		if publishes := s.Handler.Publish; publishes != nil {
			add(publishes.Topic, "")
		}
		if d := s.Defer; d != nil {
			add(d.Topic, p.c.Group)
			if d.Handler != nil && d.Handler.Publish != nil {
				add(d.Handler.Publish.Topic, "")
			}
		}
	}
	for _, topic := range p.c.PartitionedTopics() {
		add(topic, "")
	}
	return parts
}

// takes reports whether a stream of the section takes what is published to a topic.
func (p *planner) takes(topic string) bool {
	for i := range p.section.Streams {
		if slices.ContainsFunc(p.section.Streams[i].Subjects, func(s string) bool { return bus.Overlap(s, topic) }) {
			return true
		}
	}
	return false
}

// examine implements part.
func (t *topicPart) examine(ctx context.Context) (Item, func(context.Context) error) {
	item := Item{Kind: KindStream, Name: t.create.name}
	name, err := t.find(ctx)
	switch {
	case errors.Is(err, bus.ErrNoStream):
		return t.create.examine(ctx)
	case err != nil:
		return item.refused(err), nil
	}
	if t.partitions != "" {
		return t.examinePartitions(ctx, name)
	}
	item.Name, item.Action = name, Keep
	return item, nil
}

// examinePartitions looks whether the stream that takes the topic takes its partitions as well.
func (t *topicPart) examinePartitions(ctx context.Context, name string) (Item, func(context.Context) error) {
	found, err := t.create.api.find(ctx, name)
	if err != nil {
		return (&Item{Kind: KindStream, Name: name}).refused(err), nil
	}
	want := found.info.Config
	if !covered(t.partitions, want.Subjects) {
		want.Subjects = append(slices.DeleteFunc(slices.Clone(want.Subjects), func(s string) bool { return bus.Match(t.partitions, s) }), t.partitions)
	}
	more := &streamPart{api: t.create.api, kind: KindStream, name: name, want: want, given: []string{fieldSubjects}}
	return more.examine(ctx)
}

func (t *topicPart) find(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return t.bus.FindStream(ctx, t.topic, t.group)
}
