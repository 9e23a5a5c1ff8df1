package dedupetest

import (
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/faulty"
)

// Inner is a store with the abilities that are wrapped.
type Inner interface {
	dedupe.Store
	dedupe.Claimer
	dedupe.Watermarker
}

// FaultyStore is a store whose calls go as planned.
type FaultyStore struct {
	inner Inner
	plan  faulty.Plan
}

var _ Inner = (*FaultyStore)(nil)

// Faulty wraps a store.
func Faulty(inner Inner, plan faulty.Plan) *FaultyStore { return &FaultyStore{inner, plan} }

// Seen implements dedupe.Store.
func (s *FaultyStore) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	return faulty.Answer(ctx, s.plan, faulty.Seen, func() ([]dedupe.Record, error) { return s.inner.Seen(ctx, keys) })
}

// Mark implements dedupe.Store.
func (s *FaultyStore) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	return faulty.Answer(ctx, s.plan, faulty.Mark, func() ([]error, error) { return s.inner.Mark(ctx, marks) })
}

// Claim implements dedupe.Claimer.
func (s *FaultyStore) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	return faulty.Answer(ctx, s.plan, faulty.Claim, func() ([]dedupe.Claim, error) { return s.inner.Claim(ctx, rs) })
}

// Extend implements dedupe.Claimer.
func (s *FaultyStore) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	return faulty.Answer(ctx, s.plan, faulty.Extend, func() ([]error, error) { return s.inner.Extend(ctx, cs, lease, ttl) })
}

// Settle implements dedupe.Claimer.
func (s *FaultyStore) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return faulty.Answer(ctx, s.plan, faulty.Settle, func() ([]error, error) { return s.inner.Settle(ctx, ss) })
}

// Watermarks implements dedupe.Watermarker.
func (s *FaultyStore) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	return faulty.Answer(ctx, s.plan, faulty.Watermarks, func() ([]dedupe.Watermark, error) { return s.inner.Watermarks(ctx, group, topic) })
}

// Replace implements dedupe.Watermarker.
func (s *FaultyStore) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	return faulty.Answer(ctx, s.plan, faulty.Replace, func() (bool, error) { return s.inner.Replace(ctx, group, topic, was, now) })
}

// Begin implements dedupe.Watermarker.
func (s *FaultyStore) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	return faulty.Answer(ctx, s.plan, faulty.Begin, func() (dedupe.Watermark, error) { return s.inner.Begin(ctx, group, topic, at) })
}

// Advance implements dedupe.Watermarker.
func (s *FaultyStore) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	return faulty.Act(ctx, s.plan, faulty.Advance, func() error { return s.inner.Advance(ctx, group, topic, at) })
}
