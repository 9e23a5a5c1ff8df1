package memory

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// memoryStream is the events under a set of topics, and the cursors over them.
type memoryStream struct {
	config Stream
	now    func() time.Time
	real   bool // the clock is the process's

	mu        sync.Mutex
	name      string // with the time of creation
	log       *eventLog
	ids       *dedupeWindow
	slots     []*groupSlot      // in the order in which they were first asked for; never removed
	grown     chan struct{}     // closed when events were stored, or the stream was replaced; nil: nobody waits
	stamp     int64             // the latest stored time, or time of creation, given out
	clock     int64             // what the clock showed then
	schedules []*scheduledEvent // earliest first
	dueTimer  *time.Timer       // publishes the first of them; nil: there was none yet, or the clock is not the process's
	shift     int64             // how far the clock that stored times are read from is off, see StepClock
}

// groupSlot is where the cursor of a group over a topic lives. Sources and deliveries know
// the slot: a cursor that is deleted and recreated is the same to them, as it is under a
// name on a server.
type groupSlot struct {
	stream       *memoryStream
	topic, group string
	cursor       *groupCursor // nil: there is none
}

func newMemoryStream(config Stream, now func() time.Time) *memoryStream {
	s := &memoryStream{config: config, now: now, real: now == nil}
	if s.real {
		s.now = time.Now
	}
	s.beginIncarnation()
	return s
}

// beginIncarnation starts an empty incarnation.
func (s *memoryStream) beginIncarnation() {
	s.name = s.incarnationName(s.now().UnixNano())
	s.log = newEventLog()
	s.ids = newDedupeWindow(int64(s.config.DuplicateWindow))
}

// incarnationName names one that begins now.
func (s *memoryStream) incarnationName(now int64) string {
	return fmt.Sprintf("%s@%d", s.config.Name, s.advanceTime(now))
}

// advanceTime returns a time for what is stored now. No two in a row are the same, also when the
// clock stands still. It steps back when the clock does, as a server's does.
func (s *memoryStream) advanceTime(now int64) int64 {
	now += s.shift
	if now < s.clock {
		s.stamp = now
	} else {
		s.stamp = max(s.stamp+1, now)
	}
	s.clock = now
	return s.stamp
}

// withLock runs f under the lock, with the stream as it is at this time, and hands out what f
// made available.
func (s *memoryStream) withLock(f func(now int64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UnixNano()
	s.dropExpired(now)
	name, next := s.name, s.log.next
	s.publishDue(now)
	f(now)
	if s.grown != nil && (s.name != name || s.log.next != next) {
		close(s.grown)
		s.grown = nil
	}
	for _, sl := range s.slots {
		if c := sl.cursor; c != nil && len(c.waiting) > 0 {
			c.serveWaiting(now)
		}
	}
}

// storeEvent keeps an event, unless its message id is known.
func (s *memoryStream) storeEvent(e bus.Event, id string, now int64) bus.Receipt {
	if seq, ok := s.ids.findID(id, now); ok {
		return bus.Receipt{Sequence: seq, Duplicate: true}
	}
	seq := s.appendEvent(e, now)
	s.ids.addID(id, seq, s.log.entryAt(seq).stored)
	if s.config.MaxEvents > 0 && s.log.live > s.config.MaxEvents {
		s.deleteEvent(s.log.first)
	}
	return bus.Receipt{Sequence: seq}
}

// appendEvent keeps an event, whatever was stored before.
func (s *memoryStream) appendEvent(e bus.Event, now int64) uint64 {
	seq := s.log.appendEvent(e, s.advanceTime(now))
	for _, sl := range s.slots {
		if c := sl.cursor; c != nil && c.isWanted(s.log.entryAt(seq)) {
			c.pending++
		}
	}
	return seq
}

// dropExpired deletes what is too old.
func (s *memoryStream) dropExpired(now int64) {
	if s.config.MaxAge <= 0 {
		return
	}
	for l := s.log; l.first < l.next && now+s.shift-l.entryAt(l.first).stored >= int64(s.config.MaxAge); {
		s.deleteEvent(l.first)
	}
}

// deleteEvent removes an event that is there.
func (s *memoryStream) deleteEvent(seq uint64) {
	e := s.log.entryAt(seq)
	for _, sl := range s.slots {
		if sl.cursor != nil {
			sl.cursor.recordDeleted(seq, e)
		}
	}
	s.log.deleteEntry(seq)
}

func (s *memoryStream) positionOf(seq uint64, stored int64) bus.Position {
	return bus.Position{Stream: s.name, Sequence: seq, Stored: time.Unix(0, stored).UTC()}
}

// firstPosition is the position of the oldest event, or zero.
func (s *memoryStream) firstPosition() bus.Position {
	if s.log.first == s.log.next {
		return bus.Position{}
	}
	return s.positionOf(s.log.first, s.log.entryAt(s.log.first).stored)
}

// lastPosition is the position of the newest event that was ever stored, or zero.
func (s *memoryStream) lastPosition() bus.Position {
	if s.log.next == 1 {
		return bus.Position{}
	}
	return s.positionOf(s.log.next-1, s.log.newest)
}

// startWatermark is that of a group which starts as asked.
func (s *memoryStream) startWatermark(from bus.Start) bus.Position {
	if from.Latest && s.log.next > 1 {
		return s.lastPosition()
	}
	return bus.Position{Stream: s.name, Stored: from.Time}
}

// slotOf finds the slot of a group over a topic; nil: it never had one.
func (s *memoryStream) slotOf(topic, group string) *groupSlot {
	for _, sl := range s.slots {
		if sl.topic == topic && sl.group == group {
			return sl
		}
	}
	return nil
}

// subscribeGroup opens a source on the group's cursor.
func (s *memoryStream) subscribeGroup(topic, group string, o bus.SubscribeOptions) (*Source, error) {
	sl, err := s.ensureCursor(topic, group, o)
	if err != nil {
		return nil, err
	}
	src := newSource(sl)
	if o.Rewind {
		src.alone = true
		sl.cursor.setSoleReader(src)
	}
	return src, nil
}

// ensureCursor makes or finds the group's cursor.
func (s *memoryStream) ensureCursor(topic, group string, o bus.SubscribeOptions) (*groupSlot, error) {
	sl := s.slotOf(topic, group)
	if sl != nil && sl.cursor != nil {
		sl.cursor.ackWait = int64(o.AckWait)
		if o.Rewind {
			sl.cursor.rewind()
		}
		return sl, nil
	}
	if s.config.WorkQueue {
		if err := s.checkShareable(topic, group, o); err != nil {
			return nil, err
		}
	}
	if sl == nil {
		sl = &groupSlot{stream: s, topic: topic, group: group}
		s.slots = append(s.slots, sl)
	}
	sl.cursor = newGroupCursor(sl, s.startSequence(o), int64(o.AckWait))
	sl.cursor.lost = s.countDropped(o)
	return sl, nil
}

// startSequence is the sequence at which a new cursor starts.
func (s *memoryStream) startSequence(o bus.SubscribeOptions) uint64 {
	switch {
	case s.config.WorkQueue: // what is still there is nobody's yet
		return s.log.first
	case o.Resume.Sequence > 0:
		return max(s.log.first, o.Resume.Sequence+1)
	case !o.Resume.Stored.IsZero():
		return s.log.firstSince(o.Resume.Stored.UnixNano())
	case o.Resume.Stream != "":
		return s.log.first
	case o.From.Latest:
		return s.log.next
	case !o.From.Time.IsZero():
		return s.log.firstSince(o.From.Time.UnixNano())
	}
	return s.log.first
}

// countDropped is how many events that the group did not see are gone after the one that it resumes
// after. Of what topic they were is not known any more.
func (s *memoryStream) countDropped(o bus.SubscribeOptions) uint64 {
	if o.Resume.Sequence == 0 || s.config.WorkQueue {
		return 0
	}
	n := uint64(0)
	for seq := o.Resume.Sequence + 1; seq < s.log.next; seq++ {
		if !s.log.hasEvent(seq) {
			n++
		}
	}
	return n
}

// checkShareable says why a work queue cannot have this cursor.
func (s *memoryStream) checkShareable(topic, group string, o bus.SubscribeOptions) error {
	if o.Resume == (bus.Position{}) && (o.From.Latest || !o.From.Time.IsZero()) {
		return fmt.Errorf("memory: group %q cannot start in the middle of stream %q, a work queue: leave From zero",
			group, s.config.Name)
	}
	for _, sl := range s.slots {
		if sl.cursor != nil && bus.Overlap(sl.cursor.filter, bus.FilterOf(topic)) {
			return fmt.Errorf("memory: %q of group %q overlaps with %q of group %q, and stream %q is a work queue: "+
				"each event has one group there", topic, group, sl.topic, sl.group, s.config.Name)
		}
	}
	return nil
}

// overlapsAny reports whether there is a subject that one of the patterns and another one match.
func overlapsAny(patterns []string, other string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return bus.Overlap(p, other) })
}

// markLost deletes a cursor and tells the sources that wait on it.
func (sl *groupSlot) markLost() {
	if sl.cursor == nil {
		return
	}
	for _, src := range sl.cursor.waiting {
		src.markLost()
	}
	sl.cursor = nil
}
