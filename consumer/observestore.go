package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// observeCall makes a call of the store about some items, and has it observed.
func observeCall[A any](o *observers, operation string, items int, call func() (A, error)) (A, error) {
	begun := time.Now()
	answer, err := call()
	o.ObserveStoreCall(StoreCall{Operation: operation, Items: items, Took: time.Since(begun), Err: err})
	return answer, err
}

// observedStore is a store whose calls are observed. It has none of the optional interfaces of a
// store: those have observed counterparts of their own.
type observedStore struct {
	store     dedupe.Store
	observers *observers
}

// observeStore returns the store as it is if nobody observes its calls, like the functions beside
// it.
func (s *observers) observeStore(store dedupe.Store) dedupe.Store {
	if len(s.storeCalls) == 0 {
		return store
	}
	return &observedStore{store, s}
}

// Seen implements dedupe.Store.
func (s *observedStore) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	return observeCall(s.observers, "seen", len(keys), func() ([]dedupe.Record, error) { return s.store.Seen(ctx, keys) })
}

// Mark implements dedupe.Store.
func (s *observedStore) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	return observeCall(s.observers, "mark", len(marks), func() ([]error, error) { return s.store.Mark(ctx, marks) })
}

// observedClaimer is a claimer whose calls are observed.
type observedClaimer struct {
	claimer   dedupe.Claimer
	observers *observers
}

func (s *observers) observeClaimer(c dedupe.Claimer) dedupe.Claimer {
	if len(s.storeCalls) == 0 {
		return c
	}
	return &observedClaimer{c, s}
}

// Claim implements dedupe.Claimer.
func (c *observedClaimer) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	return observeCall(c.observers, "claim", len(rs), func() ([]dedupe.Claim, error) { return c.claimer.Claim(ctx, rs) })
}

// Extend implements dedupe.Claimer.
func (c *observedClaimer) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	return observeCall(c.observers, "extend", len(cs), func() ([]error, error) { return c.claimer.Extend(ctx, cs, lease, ttl) })
}

// Settle implements dedupe.Claimer.
func (c *observedClaimer) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return observeCall(c.observers, "settle", len(ss), func() ([]error, error) { return c.claimer.Settle(ctx, ss) })
}

// observedNoter is a noter whose calls are observed.
type observedNoter struct {
	noter     dedupe.Noter
	observers *observers
}

func (s *observers) observeNoter(n dedupe.Noter) dedupe.Noter {
	if len(s.storeCalls) == 0 {
		return n
	}
	return &observedNoter{n, s}
}

// Note implements dedupe.Noter.
func (n *observedNoter) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	return observeCall(n.observers, "note", len(ns), func() ([]error, error) { return n.noter.Note(ctx, ns, lease, ttl) })
}

// observedTransactor is a transactor whose calls are observed.
type observedTransactor struct {
	transactor dedupe.Transactor
	observers  *observers
}

func (s *observers) observeTransactor(t dedupe.Transactor) dedupe.Transactor {
	if len(s.storeCalls) == 0 || t == nil {
		return t
	}
	return &observedTransactor{t, s}
}

// ProbeTransactions implements dedupe.Transactor.
func (t *observedTransactor) ProbeTransactions(ctx context.Context) error {
	_, err := observeCall(t.observers, "probetransactions", 1, func() (struct{}, error) { return struct{}{}, t.transactor.ProbeTransactions(ctx) })
	return err
}

// Transact implements dedupe.Transactor. The time that fn takes is not the store's, and neither is
// its error.
func (t *observedTransactor) Transact(ctx context.Context, c dedupe.Claim, lease, ttl time.Duration, fn func(context.Context) error) error {
	begun, inHandler := time.Now(), time.Duration(0)
	var observed error
	defer func() { // also if fn panics, or ends its goroutine
		t.observers.ObserveStoreCall(StoreCall{Operation: "transact", Items: 1, Took: time.Since(begun) - inHandler, Err: observed})
	}()
	err := t.transactor.Transact(ctx, c, lease, ttl, func(ctx context.Context) error {
		entered := time.Now()
		defer func() { inHandler += time.Since(entered) }()
		return fn(ctx)
	})
	observed = storeFailure(err)
	return err
}

// storeFailure is the error of a transaction, unless it is the handler's alone.
func storeFailure(err error) error {
	for _, own := range []error{dedupe.ErrTransactionAborted, dedupe.ErrCommittedEarly, dedupe.ErrTransactionEnded} {
		if errors.Is(err, own) {
			return err
		}
	}
	if _, ok := errors.AsType[*handlerError](err); ok {
		return nil
	}
	return err
}

// observedWatermarks are watermarks whose calls, and whose advance, are observed.
type observedWatermarks struct {
	watermarks dedupe.Watermarker
	observers  *observers

	mu   sync.Mutex      // held while watermarks are observed
	told dedupe.Position // the last that was
}

func (s *observers) observeWatermarks(w dedupe.Watermarker) dedupe.Watermarker {
	if len(s.storeCalls)+len(s.watermarks) == 0 || w == nil {
		return w
	}
	return &observedWatermarks{watermarks: w, observers: s}
}

// Watermarks implements dedupe.Watermarker.
func (w *observedWatermarks) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	return observeCall(w.observers, "watermarks", 1, func() ([]dedupe.Watermark, error) { return w.watermarks.Watermarks(ctx, group, topic) })
}

// Begin implements dedupe.Watermarker.
func (w *observedWatermarks) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	return observeCall(w.observers, "begin", 1, func() (dedupe.Watermark, error) { return w.watermarks.Begin(ctx, group, topic, at) })
}

// Advance implements dedupe.Watermarker.
func (w *observedWatermarks) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	_, err := observeCall(w.observers, "advance", 1, func() (struct{}, error) { return struct{}{}, w.watermarks.Advance(ctx, group, topic, at) })
	if err == nil {
		w.observeAdvance(at.Position)
	}
	return err
}

// observeAdvance observes a watermark that was stored, once, and none behind a later one: the end
// of a subscription may store one while another is on its way.
func (w *observedWatermarks) observeAdvance(at dedupe.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told.Stream == at.Stream && at.Sequence <= w.told.Sequence {
		return
	}
	w.told = at
	w.observers.ObserveWatermark(bus.Position(at))
}

// Replace implements dedupe.Watermarker.
func (w *observedWatermarks) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	ok, err := observeCall(w.observers, "replace", 1, func() (bool, error) { return w.watermarks.Replace(ctx, group, topic, was, now) })
	if ok && err == nil {
		w.mu.Lock()
		w.told = now.Position // it may have moved back
		w.mu.Unlock()
	}
	return ok, err
}
