package exec

import (
	"log/slog"
	"sync"
	"time"
)

// strayLogInterval is how often answers that belong to no event are logged at most.
const strayLogInterval = 10 * time.Second

// strayAnswers are answers that belong to no event. Its methods are safe for concurrent use.
type strayAnswers struct {
	log  *slog.Logger
	mu   sync.Mutex
	more int
	next time.Time
}

func (s *strayAnswers) logStray(a *streamAnswer) {
	s.mu.Lock()
	now := time.Now()
	if now.Before(s.next) {
		s.more++
		s.mu.Unlock()
		return
	}
	more := s.more
	s.more, s.next = 0, now.Add(strayLogInterval)
	s.mu.Unlock()
	s.log.Warn("ignored an answer of the command: it answered twice, too late, or what it was never told",
		"delivery", a.Delivery, "status", a.Status, "more_since_the_last", more)
}
