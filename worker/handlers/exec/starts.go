package exec

import (
	"sync"
	"time"
)

// startFailureLimit is how long commands may fail to start, while none runs, before
// the worker ends.
const startFailureLimit = 5 * time.Second

// startMonitor notes since when no command can be started: the worker has no descriptors, no
// processes or no memory left, and others may be better off. Its methods are safe for
// concurrent use.
type startMonitor struct {
	mu     sync.Mutex
	failed time.Time // the first that failed since one was started; zero: none
}

func (s *startMonitor) recordSuccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = time.Time{}
}

// recordFailure notes a start that failed, and reports whether that lasts.
func (s *startMonitor) recordFailure() (lasts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.failed.IsZero() {
		s.failed = now
	}
	return now.Sub(s.failed) >= startFailureLimit
}
