package flowtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/serverclock"
)

// Memory is a server that keeps rows in memory. Its zero value is ready. It works in a bubble of
// testing/synctest, and must not be copied.
type Memory struct {
	// Latency is how long each call takes. It is set before the first.
	Latency time.Duration

	mu       sync.Mutex
	rows     map[string]memoryRow
	revision uint64
	swaps    int
}

type memoryRow struct {
	flow.Row

	expires time.Time
}

// Open returns the server's store for a process whose clock is wrong by skew.
func (m *Memory) Open(skew time.Duration) flow.Store {
	local := func() time.Time { return time.Now().Add(skew) }
	ask := func(ctx context.Context) (time.Time, error) {
		return time.Now(), backoff.Sleep(ctx, m.Latency)
	}
	return &memoryStore{server: m, clock: serverclock.New(local, ask, time.Second)}
}

// Rows returns how many rows there are that have not expired.
func (m *Memory) Rows() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeExpired()
	return len(m.rows)
}

// Swaps returns how often a row was to be replaced.
func (m *Memory) Swaps() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swaps
}

func (m *Memory) removeExpired() {
	now := time.Now()
	for key, row := range m.rows {
		if !row.expires.After(now) {
			delete(m.rows, key)
		}
	}
}

// memoryStore is a Memory as a process sees it.
type memoryStore struct {
	server *Memory
	clock  *serverclock.Clock
}

var _ flow.Lister = (*memoryStore)(nil)

// Now implements flow.Store.
func (s *memoryStore) Now(ctx context.Context) (now time.Time, doubt time.Duration, err error) {
	at, err := s.clock.Read(ctx)
	return at.Time, at.Doubt, err
}

// Swap implements flow.Store.
func (s *memoryStore) Swap(ctx context.Context, key string, revision uint64, data []byte, ttl time.Duration) (flow.Row, error) {
	m := s.server
	if err := backoff.Sleep(ctx, m.Latency); err != nil {
		return flow.Row{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.swaps++
	stored, ok := m.rows[key]
	if ok && stored.expires.After(time.Now()) && stored.Revision != revision {
		return stored.Row, flow.ErrConflict
	}
	m.revision++
	row := flow.Row{Data: append([]byte(nil), data...), Revision: m.revision}
	if m.rows == nil {
		m.rows = make(map[string]memoryRow)
	}
	m.rows[key] = memoryRow{row, time.Now().Add(ttl)}
	return row, nil
}

// List implements flow.Lister.
func (s *memoryStore) List(ctx context.Context, prefix, after string, most int) (flow.Listing, error) {
	m := s.server
	if err := backoff.Sleep(ctx, m.Latency); err != nil {
		return flow.Listing{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeExpired()
	l := flow.Listing{Now: time.Now()}
	for _, key := range slices.Sorted(maps.Keys(m.rows)) {
		if !strings.HasPrefix(key, prefix) || key <= after && after != "" {
			continue
		}
		if len(l.Rows) == most {
			l.Next = l.Rows[most-1].Key
			break
		}
		l.Rows = append(l.Rows, flow.KeyedRow{Row: m.rows[key].Row, Key: key})
	}
	return l, nil
}
