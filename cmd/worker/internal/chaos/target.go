package chaos

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// target is a topic that events are published to, and what the group has for it.
type target struct {
	topic            string
	stream, consumer string
	deadLetter       string
}

// addressTo addresses the messages to the targets in turn.
func (p *eventPlan) addressTo(o *Options, l *lab) error {
	if layout := o.layout(l.bed.Topic()); layout != nil && o.deployed == nil {
		for i := range p.messages {
			m := &p.messages[i]
			m.topic = layout.Place(bus.Event{Topic: l.bed.Topic(), ID: m.id, Key: m.key}).Topic
		}
		return nil
	}
	topics := make(map[string]string, len(p.ids))
	for i, id := range p.ids {
		topics[id] = l.targets[i%len(l.targets)].topic
	}
	for i := range p.messages {
		p.messages[i].topic = topics[p.messages[i].id]
	}
	if o.deployed == nil {
		return nil
	}
	return o.deployed.fillMessages(p, l.bed.Name)
}

// targetOf is where an event was published to.
func (r *round) targetOf(id string) *target {
	if r.o.Order.NumPartitions() > 0 {
		return r.partitionOf(id)
	}
	for i, known := range r.plan.ids {
		if known == id {
			return &r.lab.targets[i%len(r.lab.targets)]
		}
	}
	return &r.lab.targets[0] // an event that chaos has not published
}

// partitionOf is the partition where an event was published to.
func (r *round) partitionOf(id string) *target {
	for i := range r.plan.messages {
		if m := &r.plan.messages[i]; m.id == id {
			at := slices.IndexFunc(r.lab.targets, func(t target) bool { return t.topic == m.topic })
			return &r.lab.targets[max(0, at)]
		}
	}
	return &r.lab.targets[0]
}

// groupCursors are what the server knows of the group, for each target. They are for one goroutine.
type groupCursors struct {
	targets []target
	of      []*testbed.GroupCursor
	asked   time.Time
}

// cursorInterval is how often the server is asked: longer than a cursor waits between two
// questions, so that all of them ask.
const cursorInterval = 60 * time.Millisecond

func newCursors(js jetstream.JetStream, targets []target) *groupCursors {
	c := &groupCursors{targets: targets}
	for i := range targets {
		c.of = append(c.of, testbed.NewGroupCursor(js, targets[i].stream, targets[i].consumer))
	}
	return c
}

// haveReached reports whether everything is settled up to the last sequence of each topic.
func (c *groupCursors) haveReached(ctx context.Context, last func(topic string) uint64) bool {
	if time.Since(c.asked) < cursorInterval {
		return false
	}
	all := true
	for i, cursor := range c.of {
		if !cursor.HasReached(ctx, last(c.targets[i].topic)) { // the others are asked as well
			all = false
		}
	}
	c.asked = time.Now()
	return all
}

func (c *groupCursors) counts() (pending, unsettled int) {
	for _, cursor := range c.of {
		pending, unsettled = pending+cursor.Pending, unsettled+cursor.Unsettled
	}
	return pending, unsettled
}

// String says what is not settled, for people.
func (c *groupCursors) String() string {
	texts := make([]string, 0, len(c.of))
	for i, cursor := range c.of {
		text := cursor.String()
		if len(c.of) > 1 {
			text = c.targets[i].topic + ": " + text
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
