package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// askInterval is how often the server is asked.
const askInterval = 50 * time.Millisecond

// groupCursor is what the server knows of the group.
type groupCursor struct {
	js               jetstream.JetStream
	stream, consumer string

	asked                         time.Time
	delivered, pending, unsettled int
	paused                        bool
}

// readConsumer asks the server; there is nothing to know before the first worker has subscribed.
func (c *groupCursor) readConsumer(ctx context.Context) (known bool, err error) {
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
	c.paused = info.Paused
	return true, nil
}

// isEmpty reports whether so many messages are settled, and no more is there, if it is time to ask
// again. What cannot be asked is not. The server counts what is published as pending a little later
// than it confirms it.
func (c *groupCursor) isEmpty(ctx context.Context, stored int) bool {
	if time.Since(c.asked) < askInterval {
		return false
	}
	known, err := c.readConsumer(ctx)
	return known && err == nil && c.delivered >= stored && c.pending == 0 && c.unsettled == 0
}

func (c *groupCursor) String() string {
	return fmt.Sprintf("%d messages were never delivered, %d deliveries are not settled", c.pending, c.unsettled)
}
