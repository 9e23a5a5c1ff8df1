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
	let   map[id]bool
}

func (s *Store) room(now int64) *room { return &room{store: s, now: now} }

// fits returns nil when the key is kept, or can be kept; otherwise an error that wraps ErrFull.
func (r *room) fits(k id) error {
	t := &r.store.table
	if _, kept := t.slots[k]; kept || t.len()+len(r.let) < r.store.max || r.let[k] {
		return nil
	}
	if r.full != nil {
		return r.full
	}
	t.sweepAll(r.now)
	if t.len()+len(r.let) < r.store.max {
		return nil
	}
	r.full = fmt.Errorf("memory store: it keeps %d keys, none of them expired: raise Options.MaxKeys or shorten the TTL: %w",
		t.len(), dedupe.ErrFull)
	return r.full
}

// lets is fits for a key that is not written now, but may be soon: the next one of the call has to
// fit beside it.
func (r *room) lets(k id) error {
	err := r.fits(k)
	if err != nil {
		return err
	}
	if _, kept := r.store.table.slots[k]; !kept {
		if r.let == nil {
			r.let = make(map[id]bool)
		}
		r.let[k] = true
	}
	return nil
}
