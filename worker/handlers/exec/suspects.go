package exec

import (
	"container/list"
	"sync"
)

// maxSuspects is how many are remembered: of more, the oldest are forgotten, and run beside
// others again.
const maxSuspects = 10_000

// suspectKeys are the idempotency keys of events that a command may have died of. Its methods are
// safe for concurrent use.
type suspectKeys struct {
	mu    sync.Mutex
	known map[string]*list.Element
	order list.List // of keys, the oldest first
}

func (s *suspectKeys) addKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key] != nil {
		return
	}
	if s.known == nil {
		s.known = make(map[string]*list.Element)
	}
	s.known[key] = s.order.PushBack(key)
	if len(s.known) > maxSuspects {
		s.dropElement(s.order.Front())
	}
}

// dropElement is called with the mutex held.
func (s *suspectKeys) dropElement(e *list.Element) {
	if key, ok := s.order.Remove(e).(string); ok {
		delete(s.known, key)
	}
}

func (s *suspectKeys) hasKey(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key] != nil
}

func (s *suspectKeys) forgetKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.known[key]; e != nil {
		s.dropElement(e)
	}
}
