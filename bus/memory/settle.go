package memory

import (
	"context"

	"github.com/onceish/onceish/bus"
)

var _ bus.Settler = (*unsettledEvent)(nil)

// Settle implements bus.Settler. Like a message to a server it cannot tell whether anything was
// there to settle.
func (u *unsettledEvent) Settle(_ context.Context, st bus.Settlement) error {
	u.slot.stream.withLock(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.queueDue(now)
			c.applySettlement(u.seq, st, now)
		}
	})
	return nil
}

// Extend implements bus.Settler.
func (u *unsettledEvent) Extend(context.Context) error {
	u.slot.stream.withLock(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.queueDue(now)
			c.extendDeadline(u.seq, now)
		}
	})
	return nil
}
