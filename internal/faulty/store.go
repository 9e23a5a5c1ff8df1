package faulty

import (
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Inner is a store with the abilities that are wrapped.
type Inner interface {
	dedupe.Store
	dedupe.Claimer
	dedupe.Watermarker
}

// Store is a store whose calls go as planned.
type Store struct {
	inner Inner
	plan  Plan
}

var _ Inner = (*Store)(nil)

// NewStore wraps a store.
func NewStore(inner Inner, plan Plan) *Store { return &Store{inner, plan} }

// Seen implements dedupe.Store.
func (s *Store) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	return callPlanned(ctx, s.plan, Seen, func() ([]dedupe.Record, error) { return s.inner.Seen(ctx, keys) })
}

// Mark implements dedupe.Store.
func (s *Store) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	return callPlanned(ctx, s.plan, Mark, func() ([]error, error) { return s.inner.Mark(ctx, marks) })
}

// Claim implements dedupe.Claimer.
func (s *Store) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	return callPlanned(ctx, s.plan, Claim, func() ([]dedupe.Claim, error) { return s.inner.Claim(ctx, rs) })
}

// Extend implements dedupe.Claimer.
func (s *Store) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	return callPlanned(ctx, s.plan, Extend, func() ([]error, error) { return s.inner.Extend(ctx, cs, lease, ttl) })
}

// Settle implements dedupe.Claimer.
func (s *Store) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return callPlanned(ctx, s.plan, Settle, func() ([]error, error) { return s.inner.Settle(ctx, ss) })
}

// Watermarks implements dedupe.Watermarker.
func (s *Store) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	return callPlanned(ctx, s.plan, Watermarks, func() ([]dedupe.Watermark, error) { return s.inner.Watermarks(ctx, group, topic) })
}

// Replace implements dedupe.Watermarker.
func (s *Store) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	return callPlanned(ctx, s.plan, Replace, func() (bool, error) { return s.inner.Replace(ctx, group, topic, was, now) })
}

// Begin implements dedupe.Watermarker.
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	return callPlanned(ctx, s.plan, Begin, func() (dedupe.Watermark, error) { return s.inner.Begin(ctx, group, topic, at) })
}

// Advance implements dedupe.Watermarker.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	return actPlanned(ctx, s.plan, Advance, func() error { return s.inner.Advance(ctx, group, topic, at) })
}
