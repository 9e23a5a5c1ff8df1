package testbed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// askInterval is how often the server is asked.
const askInterval = 50 * time.Millisecond

// GroupCursor is what the server knows of the group. It is for one goroutine.
type GroupCursor struct {
	// Delivered counts deliveries to the group. Pending messages were never delivered, and
	// Unsettled deliveries are neither acked nor nacked.
	Delivered, Pending, Unsettled int
	// Paused: the consumer delivers nothing.
	Paused bool

	js               jetstream.JetStream
	stream, consumer string
	asked            time.Time
	last             uint64 // sequence in the stream that was delivered
}

// NewGroupCursor returns a cursor that knows nothing yet.
func NewGroupCursor(js jetstream.JetStream, stream, consumer string) *GroupCursor {
	return &GroupCursor{js: js, stream: stream, consumer: consumer}
}

// Refresh asks the server; there is nothing to know before the first worker has subscribed.
func (c *GroupCursor) Refresh(ctx context.Context) (known bool, err error) {
	c.asked = time.Now()
	consumer, err := c.js.Consumer(ctx, c.stream, c.consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask how far the group is: %w", err)
	}
	info := consumer.CachedInfo()
	c.Delivered, c.Pending, c.Unsettled = int(info.Delivered.Consumer), int(info.NumPending), info.NumAckPending
	c.Paused, c.last = info.Paused, info.Delivered.Stream
	return true, nil
}

// IsEmpty reports whether so many messages are settled, and no more is there, if it is time to ask
// again. What cannot be asked is not. The server counts what is published as pending a little later
// than it confirms it.
func (c *GroupCursor) IsEmpty(ctx context.Context, stored int) bool {
	return c.isSettled(ctx) && c.Delivered >= stored
}

// HasReached is IsEmpty for a consumer that may have been made again, which then counts from there:
// the last message, of this sequence, was delivered.
func (c *GroupCursor) HasReached(ctx context.Context, sequence uint64) bool {
	return c.isSettled(ctx) && c.last >= sequence
}

func (c *GroupCursor) isSettled(ctx context.Context) bool {
	if time.Since(c.asked) < askInterval {
		return false
	}
	known, err := c.Refresh(ctx)
	return known && err == nil && c.Pending == 0 && c.Unsettled == 0
}

// String says what is not settled, for people.
func (c *GroupCursor) String() string {
	return fmt.Sprintf("%d messages were never delivered, %d deliveries are not settled", c.Pending, c.Unsettled)
}
