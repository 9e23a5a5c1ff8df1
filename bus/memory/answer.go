package memory

import (
	"context"

	"github.com/onceish/onceish/bus"
)

var _ bus.Answerer = (*unsettledEvent)(nil)

// Answer implements bus.Answerer. Like a message to a server it cannot tell whether anything was
// there to settle.
func (u *unsettledEvent) Answer(_ context.Context, st bus.Answer) error {
	return u.withCursor(func(c *groupCursor, now int64) { c.applyAnswer(u.seq, st, now) })
}

// Extend implements bus.Answerer.
func (u *unsettledEvent) Extend(context.Context) error {
	return u.withCursor(func(c *groupCursor, now int64) { c.extendDeadline(u.seq, now) })
}

func (u *unsettledEvent) withCursor(f func(c *groupCursor, now int64)) error {
	u.slot.stream.withLock(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.queueDue(now)
			f(c, now)
		}
	})
	return nil
}
