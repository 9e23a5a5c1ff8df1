package deadletter

import (
	"errors"
	"fmt"

	"github.com/onceish/onceish/bus"
)

// Topic is a dead-letter topic. It is safe for concurrent use.
type Topic struct {
	name    string
	layout  bus.Layout
	bus     bus.Bus
	reader  bus.Reader
	finder  bus.Finder
	deleter bus.Deleter
}

// OpenTopic returns a dead-letter topic, which is "dead.GROUP" unless consumer.Options.DeadLetter
// says otherwise. It does not look whether there is one. The error wraps errors.ErrUnsupported if
// the bus is no bus.Reader, bus.Finder and bus.Deleter.
func OpenTopic(b bus.Bus, name string) (*Topic, error) {
	if err := bus.ValidTopic(name); err != nil {
		return nil, fmt.Errorf("dead-letter topic: %w", err)
	}
	t := &Topic{name: name, bus: b}
	var reads, finds, deletes bool
	t.reader, reads = b.(bus.Reader)
	t.finder, finds = b.(bus.Finder)
	t.deleter, deletes = b.(bus.Deleter)
	if !reads || !finds || !deletes {
		return nil, fmt.Errorf("dead-letter topic %q: a %T cannot read, find and delete single events: %w", name, b, errors.ErrUnsupported)
	}
	return t, nil
}

// In returns the topic with a Redrive that publishes events to these partitions, those that the
// group reads. Nil: to their topics.
func (t *Topic) In(layout bus.Layout) *Topic {
	in := *t
	in.layout = layout
	return &in
}
