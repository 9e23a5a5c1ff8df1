package memory

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// Delete removes events from a stream by sequence; those that are not there are skipped.
func (b *Bus) Delete(stream string, sequences ...uint64) error {
	return b.changeStream(stream, func(s *memoryStream) {
		for _, seq := range sequences {
			if s.log.hasEvent(seq) {
				s.deleteEvent(seq)
			}
		}
	})
}

// Purge removes all events of the topic, which may be a pattern, from a stream.
func (b *Bus) Purge(stream, topic string) error {
	filter := bus.FilterOf(topic)
	return b.changeStream(stream, func(s *memoryStream) {
		for seq := s.log.first; seq < s.log.next; seq++ {
			if s.log.hasEvent(seq) && bus.Match(filter, s.log.entryAt(seq).subject) {
				s.deleteEvent(seq)
			}
		}
	})
}

// StepClock sets the clock from which a stream's stored times and ages are read forward, or back,
// as somebody may set a server's. No other time depends on it.
func (b *Bus) StepClock(stream string, by time.Duration) error {
	return b.changeStream(stream, func(s *memoryStream) { s.shift += int64(by) })
}

// DeleteGroup deletes the group's cursor over the topic, if there is one. Its sources
// return bus.ErrConsumerLost.
func (b *Bus) DeleteGroup(topic, group string) error {
	s, err := b.findStream(topic, bus.FilterOf(topic))
	if err != nil {
		return err
	}
	s.withLock(func(int64) {
		if sl := s.slotOf(topic, group); sl != nil {
			sl.markLost()
		}
	})
	return nil
}

// Recreate deletes a stream with its events, message ids and cursors, and recreates it: another
// incarnation, whose sequences start at 1.
func (b *Bus) Recreate(stream string) error {
	return b.changeStream(stream, func(s *memoryStream) {
		s.loseAll()
		s.schedules = nil
		s.beginIncarnation()
	})
}

func (b *Bus) changeStream(name string, change func(s *memoryStream)) error {
	s, err := b.named(name)
	if err != nil {
		return err
	}
	s.withLock(func(int64) { change(s) })
	return nil
}

// Snapshot is a copy of a stream.
type Snapshot struct {
	stream *memoryStream
	name   string
	log    *eventLog
	ids    *dedupeWindow
}

// Snapshot copies a stream: its events and message ids, not its cursors.
func (b *Bus) Snapshot(stream string) (*Snapshot, error) {
	s, err := b.named(stream)
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{stream: s}
	s.withLock(func(int64) { snap.name, snap.log, snap.ids = s.name, s.log.cloneEntries(), s.ids.cloneWindow() })
	return snap, nil
}

// Restore replaces the stream by the copy, which may be used again. It is the same incarnation as
// when it was copied: sequences given out since are used again. All cursors are gone.
func (snap *Snapshot) Restore() {
	s := snap.stream
	s.withLock(func(int64) {
		s.loseAll()
		s.name, s.log, s.ids = snap.name, snap.log.cloneEntries(), snap.ids.cloneWindow()
	})
}

// RestoreAs is Restore into another incarnation, as the API of a server restores: what the copy
// holds keeps its sequences and stored times, and the stream has another time of creation.
func (snap *Snapshot) RestoreAs() {
	s := snap.stream
	s.withLock(func(now int64) {
		s.loseAll()
		s.log, s.ids = snap.log.cloneEntries(), snap.ids.cloneWindow()
		s.name = s.incarnationName(now)
	})
}

func (s *memoryStream) loseAll() {
	for _, sl := range s.slots {
		sl.markLost()
	}
}

func (b *Bus) named(stream string) (*memoryStream, error) {
	for _, s := range b.streams {
		if s.config.Name == stream {
			return s, nil
		}
	}
	return nil, fmt.Errorf("memory: there is no stream %q: name one of Options.Streams", stream)
}
