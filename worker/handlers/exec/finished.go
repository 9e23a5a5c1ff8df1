package exec

import (
	"sync"
	"time"
)

// How many late answers are remembered, and for how long: until the event is redelivered, which a
// give-back makes soon.
const (
	maxFinished = 10_000
	finishedTTL = 10 * time.Minute
)

// finishedKeys are the idempotency keys of events that a command has done after their run was
// cancelled. Its methods are safe for concurrent use.
type finishedKeys struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (f *finishedKeys) rememberKey(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since == nil {
		f.since = make(map[string]time.Time)
	}
	if len(f.since) >= maxFinished {
		f.makeRoom()
	}
	f.since[key] = time.Now()
}

// makeRoom forgets what is too old, or else any one. The mutex is held.
func (f *finishedKeys) makeRoom() {
	for key, since := range f.since {
		if time.Since(since) > finishedTTL {
			delete(f.since, key)
		}
	}
	for key := range f.since {
		if len(f.since) < maxFinished {
			return
		}
		delete(f.since, key)
	}
}

// takeKey reports whether the event was done, and forgets it.
func (f *finishedKeys) takeKey(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, ok := f.since[key]
	delete(f.since, key)
	return ok && time.Since(since) <= finishedTTL
}
