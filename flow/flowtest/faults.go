package flowtest

import (
	"context"
	"sync"
	"time"

	"github.com/onceish/onceish/flow"
)

// Faults is a store that fails when it is told to. It is safe for concurrent use.
type Faults struct {
	store flow.Store

	mu    sync.Mutex
	err   error
	hangs bool
	keys  map[string]uint64 // that were swapped, with the revision read last
}

var _ flow.Store = (*Faults)(nil)

// NewFaults returns a store that passes calls on to another until it is broken.
func NewFaults(store flow.Store) *Faults {
	return &Faults{store: store, keys: make(map[string]uint64)}
}

// Fail makes all calls from now on return err. Nil: they are passed on again.
func (f *Faults) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hangs = err, false
}

// Hang makes all calls from now on last until their ctx ends.
func (f *Faults) Hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hangs = nil, true
}

// Overwrite replaces all rows that were written through f by data.
func (f *Faults) Overwrite(ctx context.Context, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, revision := range f.keys {
		for {
			row, err := f.store.Swap(ctx, key, revision, data, time.Hour)
			revision = row.Revision
			if err == nil {
				break
			}
			if row.Revision == 0 {
				return err
			}
		}
	}
	return nil
}

func (f *Faults) fault(ctx context.Context) error {
	f.mu.Lock()
	err, hangs := f.err, f.hangs
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return err
}

// Now implements flow.Store.
func (f *Faults) Now(ctx context.Context) (now time.Time, doubt time.Duration, err error) {
	if err := f.fault(ctx); err != nil {
		return now, 0, err
	}
	return f.store.Now(ctx)
}

// Swap implements flow.Store.
func (f *Faults) Swap(ctx context.Context, key string, revision uint64, data []byte, ttl time.Duration) (flow.Row, error) {
	if err := f.fault(ctx); err != nil {
		return flow.Row{}, err
	}
	row, err := f.store.Swap(ctx, key, revision, data, ttl)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[key] = row.Revision
	return row, err
}
