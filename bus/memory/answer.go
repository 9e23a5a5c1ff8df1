package memory

import (
	"context"

	"github.com/onceish/onceish/bus"
)

var _ bus.Answerer = (*unsettledEvent)(nil)

// Answer implements bus.Answerer. Like a message to a server it cannot tell whether anything was
// there to settle.
func (u *unsettledEvent) Answer(_ context.Context, st bus.Answer) error {
	u.slot.stream.withLock(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.queueDue(now)
			c.applyAnswer(u.seq, st, now)
		}
	})
	return nil
}

// Extend implements bus.Answerer.
func (u *unsettledEvent) Extend(context.Context) error {
	u.slot.stream.withLock(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.queueDue(now)
			c.extendDeadline(u.seq, now)
		}
	})
	return nil
}
