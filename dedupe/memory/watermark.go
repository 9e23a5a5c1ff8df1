package memory

import (
	"context"

	"github.com/onceish/onceish/dedupe"
)

// scope is what a group has one place in for each stream.
type scope struct{ group, topic string }

// Begin implements dedupe.Watermarker.
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Position) (dedupe.Position, error) {
	if err := ended(ctx, "begin"); err != nil {
		return dedupe.Position{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := s.floors[scope{group, topic}]
	if kept, ok := streams[at.Stream]; ok {
		return kept, nil
	}
	if streams == nil {
		streams = make(map[string]dedupe.Position)
		s.floors[scope{group, topic}] = streams
	} else {
		at = dedupe.Position{Stream: at.Stream}
	}
	streams[at.Stream] = at
	return at, nil
}

// Advance implements dedupe.Watermarker.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Position) error {
	if err := ended(ctx, "advance"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := s.floors[scope{group, topic}]
	kept, ok := streams[at.Stream]
	if !ok || kept.Sequence > at.Sequence {
		return nil
	}
	if at.Stored.Before(kept.Stored) {
		at.Stored = kept.Stored
	}
	streams[at.Stream] = at
	return nil
}
