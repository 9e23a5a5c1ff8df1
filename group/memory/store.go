package memory

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/onceish/onceish/group"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// TTL is how long rows of members and leases live, at least 30 ms. Zero: group.DefaultTTL.
	TTL time.Duration
}

const minTTL = 30 * time.Millisecond

// Store is a group.Store in memory. Its methods do not block.
type Store struct {
	ttl time.Duration

	mu          sync.Mutex
	tables      map[table]*rows
	revision    uint64
	incarnation uint64
	created     time.Time
	changed     chan struct{} // closed and replaced by each change of pauses and plans
}

var _ group.Store = (*Store)(nil)

type table struct {
	space group.Space
	group string
}

type rows struct {
	byKey   map[string]group.Row
	highest uint64
}

// New returns an empty store, or group.ErrInvalid.
func New(o *Options) (*Store, error) {
	ttl := cmp.Or(cmp.Or(o, &Options{}).TTL, group.DefaultTTL)
	if ttl < minTTL {
		return nil, fmt.Errorf("%w: TTL is %v: must be at least %v", group.ErrInvalid, ttl, minTTL)
	}
	return &Store{ttl: ttl, tables: make(map[table]*rows), created: time.Now(), changed: make(chan struct{})}, nil
}

// Reset deletes everything, as if the store was deleted and made again: revisions start again.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables = make(map[table]*rows)
	s.revision = 0
	s.incarnation++
	s.created = time.Now()
	s.noteChange()
}

// TTL implements group.Store.
func (s *Store) TTL() time.Duration { return s.ttl }

// List implements group.Store.
func (s *Store) List(ctx context.Context, space group.Space, name string) (group.Listing, error) {
	if ctx.Err() != nil {
		return group.Listing{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(space, name)
	l := group.Listing{
		Revision: t.highest, Incarnation: strconv.FormatUint(s.incarnation, 10), Created: s.created, Now: time.Now(),
	}
	for _, row := range t.byKey {
		l.Rows = append(l.Rows, row)
	}
	return l, nil
}

// Put implements group.Store.
func (s *Store) Put(ctx context.Context, space group.Space, name, key string, data []byte, expect uint64) (uint64, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(space, name)
	if expect != group.AnyRevision && t.byKey[key].Revision != expect {
		return 0, group.ErrConflict
	}
	s.revision++
	t.byKey[key] = group.Row{Key: key, Data: append([]byte(nil), data...), Revision: s.revision, Stored: time.Now()}
	t.highest = s.revision
	if stays(space) {
		s.noteChange()
	}
	return s.revision, nil
}

// Delete implements group.Store.
func (s *Store) Delete(ctx context.Context, space group.Space, name, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	t := s.table(space, name)
	delete(t.byKey, key)
	t.highest = s.revision
	if stays(space) {
		s.noteChange()
	}
	return nil
}

// Watch implements group.Store. It calls changed for changes in other groups as well.
func (s *Store) Watch(ctx context.Context, _ string, changed func()) error {
	for {
		s.mu.Lock()
		next := s.changed
		s.mu.Unlock()
		changed()
		select {
		case <-next:
		case <-ctx.Done():
			return nil
		}
	}
}

// stays reports whether rows of a space stay, and are watched.
func stays(space group.Space) bool { return space == group.PauseRows || space == group.PlanRows }

// noteChange tells the watches of a change. The mutex is held.
func (s *Store) noteChange() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// table returns the rows of a group and space without those past their TTL. The mutex is held.
func (s *Store) table(space group.Space, name string) *rows {
	at := table{space, name}
	t := s.tables[at]
	if t == nil {
		t = &rows{byKey: make(map[string]group.Row)}
		s.tables[at] = t
	}
	if stays(space) {
		return t
	}
	for key, row := range t.byKey {
		if time.Since(row.Stored) >= s.ttl {
			delete(t.byKey, key)
		}
	}
	return t
}
