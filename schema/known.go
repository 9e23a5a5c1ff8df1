package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// minRetry is how long the store is left alone at least after it was read: a version that is not
// there, and a store that does not answer, are not looked for with each event.
const minRetry = time.Second

// known are the schemas of one subject.
type known struct {
	subject Subject

	mu       sync.Mutex
	versions []*Document // it is replaced, never changed
	read     time.Time   // when the store was read last; zero: never
	tried    time.Time   // when that was tried last
	failures int         // of reading, in a row
	err      error       // of the last try
	reading  chan struct{}
}

func (k *known) isEmpty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.versions) == 0 && k.reading == nil
}

// get returns all versions, and reads them first if nothing is known, if it is time to, or if
// another version than those is needed. Whoever has versions already does not wait for another one
// that reads, unless the version that it needs is not among them.
func (k *known) get(ctx context.Context, r *Registry, need int) ([]*Document, error) {
	for {
		done, reading, documents, err := k.begin(&r.options, need)
		if done {
			return documents, err
		}
		if reading == nil {
			k.readStore(ctx, r)
			return k.after(ctx)
		}
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// begin returns what is known if that is enough. If not, it returns what is closed when another
// caller has read the store, or nil: then this caller has to read it.
func (k *known) begin(o *RegistryOptions, need int) (done bool, reading <-chan struct{}, documents []*Document, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	enough := !k.read.IsZero() && need <= len(k.versions)
	switch {
	case !k.isDue(o, enough), k.reading != nil && enough:
		documents, err = k.result()
		return true, nil, documents, err
	case k.reading != nil:
		return false, k.reading, nil, nil
	}
	k.reading = make(chan struct{})
	return false, nil, nil, nil
}

// after returns what is known when this caller has read the store.
func (k *known) after(ctx context.Context) ([]*Document, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil && k.read.IsZero() {
		return nil, context.Cause(ctx)
	}
	return k.result()
}

// result is what is known; the error says why nothing is.
func (k *known) result() ([]*Document, error) {
	if k.read.IsZero() {
		return nil, fmt.Errorf("%w: %s: %w", ErrAway, k.subject, k.err)
	}
	return k.versions, nil
}

// isDue reports whether the store is to be read.
func (k *known) isDue(o *RegistryOptions, enough bool) bool {
	since := time.Since(k.tried)
	switch {
	case k.tried.IsZero():
		return true
	case k.failures > 0:
		return since >= backoff.Doubled(min(minRetry, o.Refresh), k.failures-1, max(o.Refresh, minRetry))
	case !enough:
		return since >= min(minRetry, o.Refresh)
	}
	return since >= o.Refresh
}

// readStore reads the versions above those that are known, and ends the reading.
func (k *known) readStore(ctx context.Context, r *Registry) {
	k.mu.Lock()
	above := len(k.versions)
	k.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	added, err := parseAbove(bounded, r.store, k.subject, above)
	gaveUp := err != nil && ctx.Err() != nil // its caller did, and the store may be well
	if !gaveUp {
		r.note(k.subject, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.reading)
	k.reading = nil
	if gaveUp {
		return
	}
	k.tried, k.err = time.Now(), err
	if err != nil {
		k.failures++
		return
	}
	k.failures, k.read = 0, k.tried
	k.versions = append(slices.Clip(k.versions), added...)
}

// parseAbove reads versions. They come in order and without a gap, or not at all. The store is not
// asked for what can have no schema: an event's type may be anything.
func parseAbove(ctx context.Context, store Store, s Subject, above int) ([]*Document, error) {
	if fit := s.Validate() == nil; !fit {
		return nil, nil
	}
	versions, err := store.Versions(ctx, s, above)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer in time: %w", err)
		}
		return nil, err
	}
	documents := make([]*Document, len(versions))
	for i, v := range versions {
		if v.Number != above+i+1 {
			return nil, fmt.Errorf("%w: version %d of %s is missing", ErrInvalidSchema, above+i+1, s)
		}
		if documents[i], err = Parse(v.Schema); err != nil {
			return nil, fmt.Errorf("version %d of %s: %w", v.Number, s, err)
		}
	}
	return documents, nil
}
