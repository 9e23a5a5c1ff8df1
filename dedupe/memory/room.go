package memory

import (
	"fmt"

	"github.com/onceish/onceish/dedupe"
)

// freeRoom decides, within one call, which keys still fit into the store.
type freeRoom struct {
	store    *Store
	now      int64
	full     error // set once everything that has expired was removed, and that was not enough
	reserved map[keyID]bool
}

func (s *Store) newFreeRoom(now int64) *freeRoom { return &freeRoom{store: s, now: now} }

// checkFits returns nil when the key is kept, or can be kept; otherwise an error that
// wraps ErrFull.
func (r *freeRoom) checkFits(k keyID) error {
	t := &r.store.table
	if _, kept := t.slots[k]; kept || t.rowCount()+len(r.reserved) < r.store.max || r.reserved[k] {
		return nil
	}
	if r.full != nil {
		return r.full
	}
	t.sweepAll(r.now)
	if t.rowCount()+len(r.reserved) < r.store.max {
		return nil
	}
	r.full = fmt.Errorf("memory store: it keeps %d keys, none of them expired: raise Options.MaxKeys, shorten the TTL, or use a store that is not in memory: %w",
		t.rowCount(), dedupe.ErrFull)
	return r.full
}

// reserveKey is fits for a key that is not written now, but may be soon: the next one of the call
// has to fit beside it.
func (r *freeRoom) reserveKey(k keyID) error {
	err := r.checkFits(k)
	if err != nil {
		return err
	}
	if _, kept := r.store.table.slots[k]; !kept {
		if r.reserved == nil {
			r.reserved = make(map[keyID]bool)
		}
		r.reserved[k] = true
	}
	return nil
}
