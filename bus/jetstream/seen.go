package jetstream

import "sync"

// seen is what a Source has delivered, for its keeper.
type seen struct {
	mu      sync.Mutex
	arrived uint64
	highest arrival
}

func (s *seen) add(n int, highest arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived += uint64(n) // #nosec G115 -- a length
	if highest.sequence > s.highest.sequence {
		s.highest = highest
	}
}

func (s *seen) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived
}

func (s *seen) top() arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}
