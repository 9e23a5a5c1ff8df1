package jetstream

import "sync"

// seen is what a Source has delivered, for its keeper.
type seen struct {
	mu      sync.Mutex
	arrived uint64
	again   uint64 // of them, those that had come before
	highest arrival
}

func (s *seen) add(n, again int, highest arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived += uint64(n)   // #nosec G115 -- a length
	s.again += uint64(again) // #nosec G115 -- at most n
	if highest.sequence > s.highest.sequence {
		s.highest = highest
	}
}

func (s *seen) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived
}

func (s *seen) redeliveries() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again
}

func (s *seen) top() arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}
