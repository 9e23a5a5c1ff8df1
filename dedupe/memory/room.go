package memory

import (
	"fmt"

	"github.com/onceish/onceish/dedupe"
)

// room decides, within one call, which keys still fit into the store.
type room struct {
	store *Store
	now   int64
	full  error // set once everything that has expired was removed, and that was not enough
}

func (s *Store) room(now int64) *room { return &room{store: s, now: now} }

// fits returns nil when the key is kept, or can be kept; otherwise an error that wraps ErrFull.
func (r *room) fits(k id) error {
	t := &r.store.table
	if _, kept := t.slots[k]; kept || t.len() < r.store.max {
		return nil
	}
	if r.full != nil {
		return r.full
	}
	t.sweepAll(r.now)
	if t.len() < r.store.max {
		return nil
	}
	r.full = fmt.Errorf("memory store: it keeps %d keys, none of them expired: raise Options.MaxKeys or shorten the TTL: %w",
		t.len(), dedupe.ErrFull)
	return r.full
}
