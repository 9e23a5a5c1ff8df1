package outboxtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// recorder is a bus that remembers what was published to it, in order, and answers as it is told.
type recorder struct {
	changed *changes
	// answer, if not nil, says what happens to an event: whether it is stored, and the error
	// of its receipt.
	answer func(e *bus.Event) (stored bool, err error)
	// delay is how long each call takes.
	delay time.Duration

	mu    sync.Mutex
	log   []bus.Event    // each publication that was stored
	times map[string]int // by id
	keyed map[string]int // how many of a key were stored, each counted once
	at    []time.Time    // when calls began
	calls int
}

func newRecorder(c *changes) *recorder {
	return &recorder{changed: c, times: map[string]int{}, keyed: map[string]int{}}
}

// Publish implements bus.Publisher.
func (r *recorder) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	r.mu.Lock()
	r.at = append(r.at, time.Now())
	r.calls++
	r.mu.Unlock()
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-ctx.Done():
		}
	}
	receipts := make([]bus.Receipt, len(events))
	errs := make([]error, len(events))
	r.mu.Lock()
	for i := range events {
		receipts[i] = r.one(&events[i])
		errs[i] = receipts[i].Err
	}
	r.mu.Unlock()
	r.changed.tell()
	return receipts, errors.Join(errs...)
}

func (r *recorder) one(e *bus.Event) bus.Receipt {
	stored, err := true, error(nil)
	if r.answer != nil {
		stored, err = r.answer(e)
	}
	again := r.times[e.ID] > 0
	if stored {
		r.log = append(r.log, *e)
		r.times[e.ID]++
		if !again {
			r.keyed[e.Key]++
		}
	}
	if err != nil {
		return bus.Receipt{Err: err}
	}
	return bus.Receipt{Sequence: uint64(len(r.log)), Duplicate: again}
}

// answers has the bus answer otherwise from now on.
func (r *recorder) answers(f func(e *bus.Event) (bool, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// published is how many events were stored, each counted once.
func (r *recorder) published() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// publishedOf is how many of a key were.
func (r *recorder) publishedOf(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keyed[key]
}

// repeats are the ids that were stored more than once.
func (r *recorder) repeats() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, n := range r.times {
		if n > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// first are the ids of a key's events in the order in which they were stored first.
func (r *recorder) first(key string) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for i := range r.log {
		if e := &r.log[i]; e.Key == key && !seen[e.ID] {
			seen[e.ID] = true
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// has reports whether an event was stored.
func (r *recorder) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.times[id] > 0
}

// last is when the latest call began.
func (r *recorder) last() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.at) == 0 {
		return time.Time{}
	}
	return r.at[len(r.at)-1]
}

// ordered checks that the first publications of each key came in the order of their ids.
func (r *recorder) ordered(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if ids := r.first(key); !slices.IsSorted(ids) {
			for i := 1; i < len(ids); i++ {
				if ids[i] < ids[i-1] {
					t.Fatalf("key %q: %s was published before %s", key, ids[i-1], ids[i])
				}
			}
		}
	}
}

// changes tells those who wait that something has happened.
type changes struct {
	mu sync.Mutex
	c  chan struct{}
}

func newChanges() *changes { return &changes{c: make(chan struct{})} }

func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c
}

func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.c)
	c.c = make(chan struct{})
}
