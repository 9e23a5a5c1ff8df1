package dedupetest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// minimal is the least that a store can be.
type minimal struct {
	mu    sync.Mutex
	marks map[dedupe.Key]kept
}

type kept struct {
	dedupe.Record
	until time.Time
}

func (m *minimal) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rs := make([]dedupe.Record, len(keys))
	for i, key := range keys {
		if r, ok := m.marks[key]; ok && time.Now().Before(r.until) {
			rs[i] = r.Record
		}
	}
	return rs, ctx.Err()
}

func (m *minimal) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range marks {
		m.marks[x.Key] = kept{dedupe.Record{State: x.State, Hash: x.Hash}, time.Now().Add(x.TTL)}
	}
	return make([]error, len(marks)), ctx.Err()
}

func (m *minimal) present(_ *testing.T, key dedupe.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.marks[key]
	return ok
}

func TestMinimalStore(t *testing.T) {
	t.Parallel()
	Run(t, Harness{Run: synctest.Test, New: func(*testing.T) Subject {
		m := &minimal{marks: make(map[dedupe.Key]kept)}
		return Subject{Store: m, Present: m.present}
	}})
}
