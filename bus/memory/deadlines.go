package memory

import (
	"container/heap"
	"context"

	"github.com/onceish/onceish/bus"
)

// unsettledEvent is an event that was delivered and is neither acknowledged nor terminated. It is
// also the bus.Answerer behind its deliveries: it knows the event by its sequence alone.
type unsettledEvent struct {
	slot     *groupSlot
	seq      uint64
	arrivals int
	due      int64 // when it is delivered again, in ns since 1970
	index    int   // in deadlines; -1: it is queued for redelivery
	delayed  bool  // it was nacked, and the delay of that has not passed
}

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

// deadlineHeap is a heap of what is due when.
type deadlineHeap []*unsettledEvent

var _ heap.Interface = (*deadlineHeap)(nil)

func (d deadlineHeap) Len() int { return len(d) }

func (d deadlineHeap) Less(i, j int) bool {
	return d[i].due < d[j].due || d[i].due == d[j].due && d[i].seq < d[j].seq
}

func (d deadlineHeap) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push implements heap.Interface.
func (d *deadlineHeap) Push(x any) {
	u := x.(*unsettledEvent) //nolint:errcheck // it holds nothing else
	u.index = len(*d)
	*d = append(*d, u)
}

// Pop implements heap.Interface.
func (d *deadlineHeap) Pop() any {
	last := len(*d) - 1
	u := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	u.index = -1
	return u
}

// setDue (re)starts the deadline of u.
func (d *deadlineHeap) setDue(u *unsettledEvent, due int64) {
	u.due = due
	if u.index < 0 {
		heap.Push(d, u)
		return
	}
	heap.Fix(d, u.index)
}

// dropDue ends the deadline of u, if it has one.
func (d *deadlineHeap) dropDue(u *unsettledEvent) {
	if u.index >= 0 {
		heap.Remove(d, u.index)
	}
}
