package memory

import (
	"container/heap"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// cursor is where a group is in a stream. The stream's lock guards it.
type cursor struct {
	slot    *slot
	ackWait int64
	next    uint64 // all below was delivered, skipped or lost
	pending int    // stored events at or above next that match
	lost    uint64 // matching events that were deleted before they were delivered
	floor   uint64 // all at or below is settled

	out     map[uint64]*unsettled
	delayed int // of out, those that wait for the delay of their nak
	due     deadlines
	again   []*unsettled // to be redelivered, in order; some may be settled by now
	waiting []*Source    // that asked for more than there was, in turn
}

func newCursor(sl *slot, from uint64, ackWait int64) *cursor {
	c := &cursor{slot: sl, ackWait: ackWait, next: from, floor: from - 1, out: map[uint64]*unsettled{}}
	l := sl.stream.log
	for seq := max(from, l.first); seq < l.next; seq++ {
		if e := l.at(seq); !e.deleted && c.wants(e) {
			c.pending++
		}
	}
	return c
}

func (c *cursor) wants(e *entry) bool { return bus.Match(c.slot.topic, e.event.Topic) }

// take hands out the next delivery, or nil: first what is to be redelivered, then what is new,
// within the bound.
func (c *cursor) take(now int64) *bus.Delivery {
	if u := c.redeliver(); u != nil {
		return c.deliver(u, now)
	}
	if len(c.out)-c.delayed >= c.slot.stream.config.MaxUnsettled || !c.seek() {
		return nil
	}
	u := &unsettled{slot: c.slot, seq: c.next, index: -1}
	c.out[u.seq] = u
	c.next++
	c.pending--
	return c.deliver(u, now)
}

// seek moves next to an event that is there and matches; false: there is none, and next
// is at the end.
func (c *cursor) seek() bool {
	l := c.slot.stream.log
	if c.pending == 0 {
		c.next = max(c.next, l.next)
		return false
	}
	c.next = max(c.next, l.first)
	for e := l.at(c.next); e.deleted || !c.wants(e); e = l.at(c.next) {
		c.next++
	}
	return true
}

func (c *cursor) deliver(u *unsettled, now int64) *bus.Delivery {
	u.arrivals++
	c.due.set(u, now+c.ackWait)
	s := c.slot.stream
	e := s.log.at(u.seq)
	return bus.NewDelivery(e.event, u.arrivals, s.position(u.seq, e.stored), u)
}

// redeliver takes the first that is queued and still unsettled.
func (c *cursor) redeliver() *unsettled {
	for len(c.again) > 0 {
		u := c.again[0]
		c.again[0] = nil
		c.again = c.again[1:]
		if c.out[u.seq] == u {
			return u
		}
	}
	return nil
}

// pass queues what is due for redelivery.
func (c *cursor) pass(now int64) {
	for len(c.due) > 0 && c.due[0].due <= now {
		u := heap.Pop(&c.due).(*unsettled) //nolint:errcheck // it holds nothing else
		c.setDelayed(u, false)
		c.again = append(c.again, u)
	}
}

// settle applies a settlement to whatever delivery of the event is out.
func (c *cursor) settle(seq uint64, st bus.Settlement, now int64) {
	u, ok := c.out[seq]
	switch {
	case !ok:
	case st.Reason != "" || !st.Nak:
		c.forget(u)
		if s := c.slot.stream; s.config.WorkQueue {
			s.delete(seq)
		}
	case st.After > 0:
		if i := slices.Index(c.again, u); i >= 0 {
			c.again = slices.Delete(c.again, i, i+1)
		}
		c.due.set(u, now+int64(st.After))
		c.setDelayed(u, true)
	case u.index >= 0:
		c.due.drop(u)
		c.setDelayed(u, false)
		c.again = append(c.again, u)
	}
}

// extend starts the deadline again; what is queued for redelivery stays so.
func (c *cursor) extend(seq uint64, now int64) {
	if u, ok := c.out[seq]; ok && u.index >= 0 {
		c.due.set(u, now+c.ackWait)
		c.setDelayed(u, false)
	}
}

// setDelayed records whether u waits for the delay of its nak, and so does not count against
// MaxUnsettled.
func (c *cursor) setDelayed(u *unsettled, delayed bool) {
	switch {
	case delayed && !u.delayed:
		c.delayed++
	case !delayed && u.delayed:
		c.delayed--
	}
	u.delayed = delayed
}

// forget takes u off what is unsettled.
func (c *cursor) forget(u *unsettled) {
	c.due.drop(u)
	c.setDelayed(u, false)
	delete(c.out, u.seq)
}

// gone accounts for an event that is about to be deleted from the stream.
func (c *cursor) gone(seq uint64, e *entry) {
	if u, ok := c.out[seq]; ok {
		c.forget(u)
		return
	}
	if seq >= c.next && c.wants(e) {
		c.pending--
		c.lost++
	}
}

// enqueue puts a source at the end of those that wait.
func (c *cursor) enqueue(src *Source) {
	if !slices.Contains(c.waiting, src) {
		c.waiting = append(c.waiting, src)
	}
}

// serve hands what is there to the sources that wait for it, one each in turn.
func (c *cursor) serve(now int64) {
	c.pass(now)
	for len(c.waiting) > 0 {
		src := c.waiting[0]
		if src.open() == 0 {
			c.waiting = c.waiting[1:]
			continue
		}
		d := c.take(now)
		if d == nil {
			return
		}
		src.hand(d)
		if len(c.waiting) > 1 {
			c.waiting = append(c.waiting[1:], src)
		}
	}
}

// settled moves the floor up and returns it.
func (c *cursor) settled() uint64 {
	c.seek()
	if len(c.out) == 0 {
		c.floor = max(c.floor, c.next-1)
	}
	for c.floor+1 < c.next && c.out[c.floor+1] == nil {
		c.floor++
	}
	return c.floor
}

// wakeIn is how long it is until something is due; false: nothing will be.
func (c *cursor) wakeIn(now int64) (time.Duration, bool) {
	if len(c.due) == 0 {
		return 0, false
	}
	return time.Duration(c.due[0].due - now), true
}
