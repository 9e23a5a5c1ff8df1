package memory

import (
	"container/heap"
	"slices"

	"github.com/onceish/onceish/bus"
)

// groupCursor is where a group is in a stream. The stream's lock guards it.
type groupCursor struct {
	slot    *groupSlot
	filter  string
	ackWait int64
	next    uint64 // all below was delivered, skipped or lost
	pending int    // stored events at or above next that match
	lost    uint64 // matching events that were deleted before they were delivered
	floor   uint64 // all at or below is settled

	out     map[uint64]*unsettledEvent
	delayed int // of out, those that wait for the delay of their nak
	due     deadlineHeap
	again   []*unsettledEvent // to be redelivered, in order; some may be settled by now
	waiting []*Source         // that asked for more than there was, in turn

	soleReader *Source // that was to read the cursor alone; nil: there is none, or another one has read it
}

func newGroupCursor(sl *groupSlot, from uint64, ackWait int64) *groupCursor {
	c := &groupCursor{slot: sl, filter: bus.FilterOf(sl.topic), ackWait: ackWait}
	c.startAt(from)
	return c
}

// startAt starts the cursor at a sequence, with nothing delivered.
func (c *groupCursor) startAt(from uint64) {
	c.next, c.floor, c.pending = from, from-1, 0
	c.out, c.delayed, c.due, c.again = map[uint64]*unsettledEvent{}, 0, nil, nil
	l := c.slot.stream.log
	for seq := max(from, l.first); seq < l.next; seq++ {
		if e := l.entryAt(seq); !e.deleted && c.isWanted(e) {
			c.pending++
		}
	}
}

// rewind takes the cursor back to its floor, and forgets what its sources have asked for.
func (c *groupCursor) rewind() {
	for _, src := range c.waiting {
		src.forgetRequests()
	}
	c.waiting = nil
	c.startAt(c.advanceFloor() + 1)
}

// matchesAny reports whether one of the patterns matches the subject.
func matchesAny(patterns []string, subject string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return bus.Match(p, subject) })
}

func (c *groupCursor) isWanted(e *logEntry) bool { return bus.Match(c.filter, e.subject) }

// setSoleReader makes a source the only one that may read the cursor. nil: several may.
func (c *groupCursor) setSoleReader(s *Source) {
	if c.soleReader != nil {
		c.soleReader.forgetRequests()
	}
	c.soleReader = s
}

// nextDeliveryTo hands out the next delivery to a source, or nil. A sole reader misses what another
// source gets.
func (c *groupCursor) nextDeliveryTo(s *Source, now int64) *bus.Delivery {
	d := c.nextDelivery(now)
	if d != nil && s != c.soleReader {
		c.setSoleReader(nil)
	}
	return d
}

// nextDelivery hands out the next delivery, or nil: first what is to be redelivered, then what is
// new, within the bound.
func (c *groupCursor) nextDelivery(now int64) *bus.Delivery {
	if u := c.nextRedelivery(); u != nil {
		return c.newDelivery(u, now)
	}
	if len(c.out)-c.delayed >= c.slot.stream.config.MaxUnsettled || !c.seekNext() {
		return nil
	}
	u := &unsettledEvent{slot: c.slot, seq: c.next, index: -1}
	c.out[u.seq] = u
	c.next++
	c.pending--
	return c.newDelivery(u, now)
}

// seekNext moves next to an event that is there and matches; false: there is none, and next
// is at the end.
func (c *groupCursor) seekNext() bool {
	l := c.slot.stream.log
	if c.pending == 0 {
		c.next = max(c.next, l.next)
		return false
	}
	c.next = max(c.next, l.first)
	for e := l.entryAt(c.next); e.deleted || !c.isWanted(e); e = l.entryAt(c.next) {
		c.next++
	}
	return true
}

func (c *groupCursor) newDelivery(u *unsettledEvent, now int64) *bus.Delivery {
	u.arrivals++
	c.due.setDue(u, now+c.ackWait)
	s := c.slot.stream
	e := s.log.entryAt(u.seq)
	return bus.NewDelivery(e.event, u.arrivals, s.positionOf(u.seq, e.stored), u)
}

// nextRedelivery takes the first that is queued and still unsettled.
func (c *groupCursor) nextRedelivery() *unsettledEvent {
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

// queueDue queues what is due for redelivery.
func (c *groupCursor) queueDue(now int64) {
	for len(c.due) > 0 && c.due[0].due <= now {
		u := heap.Pop(&c.due).(*unsettledEvent) //nolint:errcheck // it holds nothing else
		c.setDelayed(u, false)
		c.again = append(c.again, u)
	}
}

// applyAnswer applies a settlement to whatever delivery of the event is out.
func (c *groupCursor) applyAnswer(seq uint64, st bus.Answer, now int64) {
	u, ok := c.out[seq]
	switch {
	case !ok:
	case st.Reason != "" || !st.Nak:
		c.dropUnsettled(u)
		if s := c.slot.stream; s.config.WorkQueue {
			s.deleteEvent(seq)
		}
	case st.After > 0:
		c.again = slices.DeleteFunc(c.again, func(queued *unsettledEvent) bool { return queued == u })
		c.due.setDue(u, now+int64(st.After))
		c.setDelayed(u, true)
	case u.index >= 0:
		c.due.dropDue(u)
		c.setDelayed(u, false)
		c.again = append(c.again, u)
	}
}

// extendDeadline starts the deadline again; what is queued for redelivery stays so.
func (c *groupCursor) extendDeadline(seq uint64, now int64) {
	if u, ok := c.out[seq]; ok && u.index >= 0 {
		c.due.setDue(u, now+c.ackWait)
		c.setDelayed(u, false)
	}
}

// setDelayed records whether u waits for the delay of its nak, and so does not count against
// MaxUnsettled.
func (c *groupCursor) setDelayed(u *unsettledEvent, delayed bool) {
	switch {
	case delayed && !u.delayed:
		c.delayed++
	case !delayed && u.delayed:
		c.delayed--
	}
	u.delayed = delayed
}

// dropUnsettled takes u off what is unsettled.
func (c *groupCursor) dropUnsettled(u *unsettledEvent) {
	c.due.dropDue(u)
	c.setDelayed(u, false)
	delete(c.out, u.seq)
}

// recordDeleted accounts for an event that is about to be deleted from the stream.
func (c *groupCursor) recordDeleted(seq uint64, e *logEntry) {
	if u, ok := c.out[seq]; ok {
		c.dropUnsettled(u)
		return
	}
	if seq >= c.next && c.isWanted(e) {
		c.pending--
		c.lost++
	}
}

// serveWaiting hands what is there to the sources that wait for it, one each in turn.
func (c *groupCursor) serveWaiting(now int64) {
	c.queueDue(now)
	for len(c.waiting) > 0 {
		src := c.waiting[0]
		if src.openRequest() == 0 {
			c.waiting = c.waiting[1:]
			continue
		}
		d := c.nextDeliveryTo(src, now)
		if d == nil {
			return
		}
		src.handOver(d)
		if len(c.waiting) > 1 {
			c.waiting = append(c.waiting[1:], src)
		}
	}
}

// advanceFloor moves the floor up and returns it.
func (c *groupCursor) advanceFloor() uint64 {
	c.seekNext()
	for c.floor+1 < c.next && c.out[c.floor+1] == nil {
		c.floor++
	}
	return c.floor
}
