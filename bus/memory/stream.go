package memory

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// stream is the events under a set of topics, and the cursors over them.
type stream struct {
	config Stream
	now    func() time.Time
	real   bool // the clock is the process's

	mu    sync.Mutex
	name  string // with the time of creation
	log   *log
	ids   *window
	slots []*slot // in the order in which they were first asked for; never removed
	stamp int64   // the latest stored time, or time of creation, given out
	clock int64   // what the clock showed then
	shift int64   // how far the clock that stored times are read from is off, see StepClock
}

// slot is where the cursor of a group over a topic lives. Sources and deliveries know the slot: a
// cursor that is deleted and made again is the same to them, as it is under a name on a server.
type slot struct {
	stream       *stream
	topic, group string
	cursor       *cursor // nil: there is none
}

func newStream(config Stream, now func() time.Time) *stream {
	s := &stream{config: config, now: now, real: now == nil}
	if s.real {
		s.now = time.Now
	}
	s.begin()
	return s
}

// begin starts an empty incarnation.
func (s *stream) begin() {
	s.name = s.incarnation(s.now().UnixNano())
	s.log = newLog()
	s.ids = newWindow(int64(s.config.DuplicateWindow))
}

// incarnation names one that begins now.
func (s *stream) incarnation(now int64) string {
	return s.config.Name + "@" + strconv.FormatInt(s.tick(now), 10)
}

// tick returns a time for what is stored now. No two in a row are the same, also when the clock
// stands still. It steps back when the clock does, as a server's does.
func (s *stream) tick(now int64) int64 {
	now += s.shift
	if now < s.clock {
		s.stamp = now
	} else {
		s.stamp = max(s.stamp+1, now)
	}
	s.clock = now
	return s.stamp
}

// do runs f under the lock, with the stream as it is at this time, and hands out what f
// made available.
func (s *stream) do(f func(now int64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UnixNano()
	s.expire(now)
	f(now)
	for _, sl := range s.slots {
		if c := sl.cursor; c != nil && len(c.waiting) > 0 {
			c.serve(now)
		}
	}
}

// store keeps an event, unless its message id is known.
func (s *stream) store(e bus.Event, id string, now int64) bus.Receipt {
	if seq, ok := s.ids.find(id, now); ok {
		return bus.Receipt{Sequence: seq, Duplicate: true}
	}
	stored := s.tick(now)
	seq := s.log.add(e, stored)
	s.ids.add(id, seq, stored)
	for _, sl := range s.slots {
		if c := sl.cursor; c != nil && c.wants(s.log.at(seq)) {
			c.pending++
		}
	}
	if s.config.MaxEvents > 0 && s.log.live > s.config.MaxEvents {
		s.delete(s.log.first)
	}
	return bus.Receipt{Sequence: seq}
}

// expire deletes what is too old.
func (s *stream) expire(now int64) {
	if s.config.MaxAge <= 0 {
		return
	}
	for l := s.log; l.first < l.next && now+s.shift-l.at(l.first).stored >= int64(s.config.MaxAge); {
		s.delete(l.first)
	}
}

// delete removes an event that is there.
func (s *stream) delete(seq uint64) {
	e := s.log.at(seq)
	for _, sl := range s.slots {
		if sl.cursor != nil {
			sl.cursor.gone(seq, e)
		}
	}
	s.log.delete(seq)
}

func (s *stream) position(seq uint64, stored int64) bus.Position {
	return bus.Position{Stream: s.name, Sequence: seq, Stored: time.Unix(0, stored).UTC()}
}

// first is the position of the oldest event, or zero.
func (s *stream) first() bus.Position {
	if s.log.first == s.log.next {
		return bus.Position{}
	}
	return s.position(s.log.first, s.log.at(s.log.first).stored)
}

// last is the position of the newest event that was ever stored, or zero.
func (s *stream) last() bus.Position {
	if s.log.next == 1 {
		return bus.Position{}
	}
	return s.position(s.log.next-1, s.log.newest)
}

// watermark is that of a group which starts as asked.
func (s *stream) watermark(from bus.Start) bus.Position {
	switch {
	case from.Latest && s.log.next > 1:
		return s.last()
	case !from.Time.IsZero():
		return bus.Position{Stream: s.name, Stored: from.Time}
	}
	return bus.Position{Stream: s.name}
}

// slot finds the slot of a group over a topic; nil: it never had one.
func (s *stream) slot(topic, group string) *slot {
	for _, sl := range s.slots {
		if sl.topic == topic && sl.group == group {
			return sl
		}
	}
	return nil
}

// subscribe makes or finds the group's cursor.
func (s *stream) subscribe(topic, group string, o bus.SubscribeOptions) (*slot, error) {
	sl := s.slot(topic, group)
	if sl != nil && sl.cursor != nil {
		sl.cursor.ackWait = int64(o.AckWait)
		return sl, nil
	}
	if s.config.WorkQueue {
		if err := s.shareable(topic, group, o); err != nil {
			return nil, err
		}
	}
	if sl == nil {
		sl = &slot{stream: s, topic: topic, group: group}
		s.slots = append(s.slots, sl)
	}
	sl.cursor = newCursor(sl, s.start(o), int64(o.AckWait))
	sl.cursor.lost = s.dropped(o)
	return sl, nil
}

// start is the sequence at which a new cursor starts.
func (s *stream) start(o bus.SubscribeOptions) uint64 {
	switch {
	case s.config.WorkQueue: // what is still there is nobody's yet
		return s.log.first
	case o.Resume.Sequence > 0:
		return max(s.log.first, o.Resume.Sequence+1)
	case !o.Resume.Stored.IsZero():
		return s.log.since(o.Resume.Stored.UnixNano())
	case o.Resume.Stream != "":
		return s.log.first
	case o.From.Latest:
		return s.log.next
	case !o.From.Time.IsZero():
		return s.log.since(o.From.Time.UnixNano())
	}
	return s.log.first
}

// dropped is how many events that the group did not see are gone after the one that it resumes
// after. Of what topic they were is not known any more.
func (s *stream) dropped(o bus.SubscribeOptions) uint64 {
	if o.Resume.Sequence == 0 || s.config.WorkQueue {
		return 0
	}
	n := uint64(0)
	for seq := o.Resume.Sequence + 1; seq < s.log.next; seq++ {
		if !s.log.has(seq) {
			n++
		}
	}
	return n
}

// shareable says why a work queue cannot have this cursor.
func (s *stream) shareable(topic, group string, o bus.SubscribeOptions) error {
	if o.Resume == (bus.Position{}) && (o.From.Latest || !o.From.Time.IsZero()) {
		return fmt.Errorf("memory: group %q cannot start in the middle of stream %q, a work queue: leave From zero",
			group, s.config.Name)
	}
	for _, sl := range s.slots {
		if sl.cursor != nil && bus.Overlap(sl.topic, topic) {
			return fmt.Errorf("memory: %q of group %q overlaps with %q of group %q, and stream %q is a work queue: "+
				"each event has one group there", topic, group, sl.topic, sl.group, s.config.Name)
		}
	}
	return nil
}

// lose deletes a cursor and tells the sources that wait on it.
func (sl *slot) lose() {
	if sl.cursor == nil {
		return
	}
	for _, src := range sl.cursor.waiting {
		src.lose()
	}
	sl.cursor = nil
}
