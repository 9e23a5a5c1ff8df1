package handlers

import (
	"container/list"
	"sync"
)

// mostSuspects is how many are remembered: of more, the oldest are forgotten, and run beside
// others again.
const mostSuspects = 10_000

// suspects are the idempotency keys of events that a command may have died of. Its methods are safe
// for concurrent use.
type suspects struct {
	mu    sync.Mutex
	known map[string]*list.Element
	order list.List // of keys, the oldest first
}

func (s *suspects) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key] != nil {
		return
	}
	if s.known == nil {
		s.known = make(map[string]*list.Element)
	}
	s.known[key] = s.order.PushBack(key)
	if len(s.known) > mostSuspects {
		s.drop(s.order.Front())
	}
}

// drop is called with the mutex held.
func (s *suspects) drop(e *list.Element) {
	if key, ok := s.order.Remove(e).(string); ok {
		delete(s.known, key)
	}
}

func (s *suspects) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key] != nil
}

func (s *suspects) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.known[key]; e != nil {
		s.drop(e)
	}
}
