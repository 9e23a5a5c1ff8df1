package jetstream

import "sync"

// deliveryCounter is what a Source has delivered, for its monitor.
type deliveryCounter struct {
	mu          sync.Mutex
	arrived     uint64
	redelivered uint64 // of them, those that had come before
	highest     deliveryInfo
}

func (s *deliveryCounter) addBatch(n, again int, highest deliveryInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived += uint64(n)         // #nosec G115 -- a length
	s.redelivered += uint64(again) // #nosec G115 -- at most n
	if highest.sequence > s.highest.sequence {
		s.highest = highest
	}
}

func (s *deliveryCounter) deliveredCount() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived
}

func (s *deliveryCounter) redeliveries() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.redelivered
}

func (s *deliveryCounter) highestDelivered() deliveryInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}
