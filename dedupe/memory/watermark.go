package memory

import (
	"context"
	"slices"

	"github.com/onceish/onceish/dedupe"
)

// watermarkScope is what a group has one watermark in for each stream.
type watermarkScope struct{ group, topic string }

// Watermarks implements dedupe.Watermarker.
func (s *Store) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	if err := contextError(ctx, "watermarks"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := slices.Clone(s.watermarks[watermarkScope{group, topic}])
	for i := range kept {
		kept[i].Trail = slices.Clone(kept[i].Trail)
	}
	return kept, nil
}

// Begin implements dedupe.Watermarker.
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	if err := contextError(ctx, "begin"); err != nil {
		return dedupe.Watermark{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.findWatermark(group, topic, at.Stream)
	if kept == nil {
		at.Trail = slices.Clone(at.Trail)
		s.watermarks[watermarkScope{group, topic}] = append(s.watermarks[watermarkScope{group, topic}], at)
		kept = &at
	}
	out := *kept
	out.Trail = slices.Clone(kept.Trail)
	return out, nil
}

// Advance implements dedupe.Watermarker.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	if err := contextError(ctx, "advance"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.findWatermark(group, topic, at.Stream); kept != nil && kept.Sequence < at.Sequence {
		*kept = at
		kept.Trail = slices.Clone(at.Trail)
	}
	return nil
}

// Replace implements dedupe.Watermarker.
func (s *Store) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	if err := contextError(ctx, "replace"); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.findWatermark(group, topic, was.Stream)
	if kept == nil || kept.Sequence != was.Sequence || !kept.Stored.Equal(was.Stored) {
		return false, nil
	}
	*kept = now
	kept.Trail = slices.Clone(now.Trail)
	return true, nil
}

// findWatermark finds what is kept for a stream; nil: nothing.
func (s *Store) findWatermark(group, topic, stream string) *dedupe.Watermark {
	kept := s.watermarks[watermarkScope{group, topic}]
	if i := slices.IndexFunc(kept, func(w dedupe.Watermark) bool { return w.Stream == stream }); i >= 0 {
		return &kept[i]
	}
	return nil
}
