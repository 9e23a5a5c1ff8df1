package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ask is how often the server is asked.
const ask = 50 * time.Millisecond

// cursor is what the server knows of the group.
type cursor struct {
	js               jetstream.JetStream
	stream, consumer string

	asked                         time.Time
	delivered, pending, unsettled int
}

// read asks the server; there is nothing to know before the first worker has subscribed.
func (c *cursor) read(ctx context.Context) (known bool, err error) {
	c.asked = time.Now()
	consumer, err := c.js.Consumer(ctx, c.stream, c.consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask how far the group is: %w", err)
	}
	info := consumer.CachedInfo()
	c.delivered, c.pending, c.unsettled = int(info.Delivered.Consumer), int(info.NumPending), info.NumAckPending
	return true, nil
}

// empty reports whether so many messages are settled, and no more is there, if it is time to ask
// again. What cannot be asked is not. The server counts what is published as pending a little later
// than it confirms it.
func (c *cursor) empty(ctx context.Context, stored int) bool {
	if time.Since(c.asked) < ask {
		return false
	}
	known, err := c.read(ctx)
	return known && err == nil && c.delivered >= stored && c.pending == 0 && c.unsettled == 0
}

func (c *cursor) String() string {
	return fmt.Sprintf("%d messages were never delivered, %d deliveries are not settled", c.pending, c.unsettled)
}
