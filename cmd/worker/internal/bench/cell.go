package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/worker"
)

// Loops that are measured.
const (
	// LoopOnceish is this library.
	LoopOnceish = "onceish"
	// LoopBaseline is a loop over the plain clients.
	LoopBaseline = "baseline"
)

// cell is one measurement, with a group and ids of its own. It is a part of what a worker process
// is told, as JSON.
type cell struct {
	testbed.Bed

	Number      int     `json:"number"`
	Run         int     `json:"run"` // from 1
	Stage       string  `json:"stage"`
	Loop        string  `json:"loop"`
	Events      int     `json:"events"` // that are counted
	WarmUp      int     `json:"warm_up"`
	Size        int     `json:"size"`
	Rate        float64 `json:"rate"`
	Keys        int     `json:"keys"`
	Duplicates  float64 `json:"duplicates"`
	Concurrency int     `json:"concurrency"`
	Seed        uint64  `json:"seed"`
}

// total is how many events there are, the warm-up included.
func (c *cell) total() int { return c.WarmUp + c.Events }

// counts reports whether an event is not in the warm-up. What drains an outbox does so in no order
// of the events, so without a rate all of them count.
func (c *cell) counts(index int) bool {
	return index >= c.WarmUp || c.Rate == 0 && c.Stage == StageOutbox
}

// counted is how many events count.
func (c *cell) counted() int {
	if c.counts(0) {
		return c.total()
	}
	return c.Events
}

func (c *cell) isBaseline() bool { return c.Loop == LoopBaseline }

// group is that of the consumers.
func (c *cell) group() string { return c.Name + "-" + strconv.Itoa(c.Number) }

// consumerName is the name of the group's consumer.
func (c *cell) consumerName() string {
	if c.isBaseline() {
		return c.group()
	}
	return natsbus.ConsumerName(c.group(), c.Topic())
}

// outboxName is the collection of the outbox, for worker.Connections.Outbox, and outboxCollection
// its full name.
func (c *cell) outboxName() string       { return "outbox-" + strconv.Itoa(c.Number) }
func (c *cell) outboxCollection() string { return worker.InNamespace(c.Name, c.outboxName()) }

// eventID is as long as a UUID, and ends with the number of the event.
func (c *cell) eventID(index int) string {
	return fmt.Sprintf("%08x-%04x-7000-8000-%0*d", uint32(c.Seed), c.Number%0x10000, indexDigits, index)
}

const indexDigits = 12

// indexOf is the number of an event by its id.
func (c *cell) indexOf(id string) (int, error) {
	index, err := strconv.Atoi(id[max(0, len(id)-indexDigits):])
	if err != nil || index < 0 || index >= c.total() || c.eventID(index) != id {
		return 0, fmt.Errorf("the event %q is none of this measurement's: does somebody else publish to the bench's stream?", id)
	}
	return index, nil
}

// event is the event of a number, that is due then.
func (c *cell) event(s eventStamp) bus.Event {
	return bus.Event{ID: c.eventID(s.index), Topic: c.Topic(), Key: c.key(s.index), Data: newEventData(s, c.Size)}
}

func (c *cell) key(index int) string {
	if c.Keys == 0 {
		return ""
	}
	return "key-" + strconv.Itoa(index%c.Keys)
}

// message is the event as a loop over the plain client publishes it.
func (c *cell) message(s eventStamp) *nats.Msg {
	return &nats.Msg{Subject: c.Topic(), Data: newEventData(s, c.Size), Header: nats.Header{nats.MsgIdHdr: {c.eventID(s.index)}}}
}

// copyHeader is a header of the second message of an event, so that who counts messages tells it
// from the first. It is no part of what the event is known by.
const copyHeader = "Onceish-Bench-Copy"

// copyEvent is the event once more.
func (c *cell) copyEvent(s eventStamp) bus.Event {
	e := c.event(s)
	e.Headers = bus.Headers{copyHeader: {"1"}}
	return e
}

// copyMessage is a second message of the event. It has no Nats-Msg-Id, so the server stores it.
func (c *cell) copyMessage(s eventStamp) *nats.Msg {
	m := &nats.Msg{Subject: c.Topic(), Data: newEventData(s, c.Size), Header: nats.Header{
		cloudevents.Prefix + cloudevents.SpecVersionName: {"1.0"}, cloudevents.Prefix + cloudevents.ID: {c.eventID(s.index)},
		cloudevents.Prefix + cloudevents.Source: {bus.DefaultSource}, cloudevents.Prefix + cloudevents.Type: {c.Topic()},
	}}
	m.Header.Set(copyHeader, "1")
	if key := c.key(s.index); key != "" {
		m.Header.Set(cloudevents.Prefix+cloudevents.PartitionKey, key)
	}
	return m
}

// isCopied reports whether an event is published twice, the same in every process.
func (c *cell) isCopied(index int) bool {
	return c.Duplicates > 0 && rand.New(rand.NewPCG(c.Seed, uint64(index))).Float64() < c.Duplicates //nolint:gosec // to be repeated, not to be secret
}

// Validate checks what a worker process was told.
func (c *cell) Validate() error {
	switch {
	case c.Loop != LoopOnceish && c.Loop != LoopBaseline:
		return fmt.Errorf("the loop %q is none of %q", c.Loop, []string{LoopOnceish, LoopBaseline})
	case c.Events < 1 || c.WarmUp < 0 || c.total() > maxEvents+maxWarmUp:
		return fmt.Errorf("events are %d after %d", c.Events, c.WarmUp)
	case c.Size < minSize || c.Size > maxSize:
		return fmt.Errorf("events have %d bytes", c.Size)
	case c.Concurrency < 1:
		return errors.New("concurrency is below 1")
	}
	return c.Bed.Validate()
}
