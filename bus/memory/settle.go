package memory

import (
	"context"

	"github.com/onceish/onceish/bus"
)

var _ bus.Settler = (*unsettled)(nil)

// Settle implements bus.Settler. Like a message to a server it cannot tell whether anything was
// there to settle.
func (u *unsettled) Settle(_ context.Context, st bus.Settlement) error {
	u.slot.stream.do(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.pass(now)
			c.settle(u.seq, st, now)
		}
	})
	return nil
}

// Extend implements bus.Settler.
func (u *unsettled) Extend(context.Context) error {
	u.slot.stream.do(func(now int64) {
		if c := u.slot.cursor; c != nil {
			c.pass(now)
			c.extend(u.seq, now)
		}
	})
	return nil
}
