package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// cursor is the group's place in the topic: the bus's consumer, and the watermark from which it can be made anew.
type cursor struct {
	bus          bus.Bus
	watermarks   dedupe.Watermarker // nil: the store keeps none
	topic, group string
	from         bus.Start
	ackWait      time.Duration

	mu     sync.Mutex
	source bus.Source   // replaced when the consumer was lost
	begun  bus.Position // where it was first opened, for stores without watermarks
	info   bus.Info     // as last polled
	told   uint64       // of info.Lost, by this source
}

// open finds or makes the consumer, and returns the watermark. Where a new group starts is kept before its consumer is first made,
// so that a consumer which is lost later is never made from "earliest" or "latest".
func (c *cursor) open(ctx context.Context) (bus.Position, error) {
	info, err := c.bus.Topic(ctx, c.topic, c.group, c.from)
	if err != nil {
		return bus.Position{}, err
	}
	at, err := c.resolve(ctx, info.Start)
	if err != nil {
		return bus.Position{}, err
	}
	source, err := c.bus.Subscribe(ctx, c.topic, c.group, &bus.SubscribeOptions{Resume: at.Stored, AckWait: c.ackWait})
	if err != nil {
		return bus.Position{}, err
	}
	state, err := source.Info(ctx)
	if err != nil {
		_ = source.Close(ctx) // the first error is the one to tell
		return bus.Position{}, err
	}
	c.mu.Lock()
	old := c.source
	c.source, c.info, c.told = source, state, 0
	c.mu.Unlock()
	if old != nil {
		_ = old.Close(ctx) // its consumer is gone
	}
	return at, nil
}

// resolve returns where the group goes on.
func (c *cursor) resolve(ctx context.Context, start bus.Position) (bus.Position, error) {
	if c.watermarks != nil {
		at, err := c.watermarks.Begin(ctx, c.group, c.topic, dedupe.Position(start))
		return bus.Position(at), err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.Stream == "" {
		c.begun = start
	}
	if c.begun.Stream != start.Stream {
		return bus.Position{Stream: start.Stream}, nil
	}
	return c.begun, nil
}

func (c *cursor) current() bus.Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source
}

func (c *cursor) fetch(ctx context.Context, events int) ([]*bus.Delivery, error) {
	return c.current().Fetch(ctx, events)
}

// poll asks the bus for the state of the cursor.
func (c *cursor) poll(ctx context.Context) (bus.Info, error) {
	info, err := c.current().Info(ctx)
	if err == nil {
		c.mu.Lock()
		c.info = info
		c.mu.Unlock()
	}
	return info, err
}

func (c *cursor) polled() bus.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// newlyLost is how many events the bus has dropped that were not told of yet.
func (c *cursor) newlyLost() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.info.Lost <= c.told {
		return 0
	}
	n := c.info.Lost - c.told
	c.told = c.info.Lost
	return n
}
