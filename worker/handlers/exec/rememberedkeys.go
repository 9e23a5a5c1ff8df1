package exec

import (
	"container/list"
	"sync"
	"time"
)

// maxRemembered is how many idempotency keys are remembered; of more, the oldest are forgotten.
const maxRemembered = 10_000

// rememberedKeys are idempotency keys of events. Its methods are safe for concurrent use.
type rememberedKeys struct {
	ttl   time.Duration // how long a key is remembered; zero: for as long as there is room
	mu    sync.Mutex
	known map[string]*list.Element
	order list.List // of rememberedKey, the oldest first
}

type rememberedKey struct {
	key   string
	since time.Time
}

// addKey remembers a key, or leaves it as it was.
func (r *rememberedKeys) addKey(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[key] != nil {
		return
	}
	if r.known == nil {
		r.known = make(map[string]*list.Element)
	}
	r.known[key] = r.order.PushBack(rememberedKey{key, time.Now()})
	if len(r.known) > maxRemembered {
		r.dropLocked(r.order.Front())
	}
}

func (r *rememberedKeys) dropLocked(e *list.Element) (since time.Time) {
	k, _ := r.order.Remove(e).(rememberedKey)
	delete(r.known, k.key)
	return k.since
}

func (r *rememberedKeys) hasKey(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[key] != nil
}

// takeKey forgets a key, and reports whether it was remembered.
func (r *rememberedKeys) takeKey(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[key]
	if e == nil {
		return false
	}
	since := r.dropLocked(e)
	return r.ttl == 0 || time.Since(since) <= r.ttl
}
