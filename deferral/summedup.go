package deferral

import (
	"sync"

	"github.com/onceish/onceish/bus"
)

// summedUp are the events that this process has summed up beside the first of their summary, and
// that the subscription has not delivered since: they count as handled, not as duplicates. It is
// safe for concurrent use.
type summedUp struct {
	mu        sync.Mutex
	sequences map[uint64]struct{}
}

// add takes in an event that is about to be settled.
func (s *summedUp) add(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sequences == nil {
		s.sequences = make(map[uint64]struct{})
	}
	s.sequences[sequence] = struct{}{}
}

// has reports whether the event at a position was summed up.
func (s *summedUp) has(at bus.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sequences[at.Sequence]
	return ok
}

// remove forgets the event at a sequence: it is counted.
func (s *summedUp) remove(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sequences, sequence)
}

// removeUpTo forgets what the group is done with: it may have been delivered to another process.
func (s *summedUp) removeUpTo(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for known := range s.sequences {
		if known <= sequence {
			delete(s.sequences, known)
		}
	}
}

// reset forgets the sequences of a stream that was replaced.
func (s *summedUp) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sequences)
}
