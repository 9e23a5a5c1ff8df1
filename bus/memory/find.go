package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
)

var _ bus.Finder = (*Bus)(nil)

// Find implements bus.Finder. It never waits.
func (b *Bus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	out := make([]time.Time, len(at))
	for i, p := range at {
		s, err := b.streamAt(p)
		if err != nil {
			return nil, err
		}
		s.withLock(func(int64) {
			if s.log.hasEvent(p.Sequence) {
				out[i] = s.positionOf(p.Sequence, s.log.entryAt(p.Sequence).stored).Stored
			}
		})
	}
	return out, nil
}

// Get implements bus.Finder. It never waits. The event is shared with all who receive it, and must
// not be changed.
func (b *Bus) Get(ctx context.Context, at bus.Position) (event bus.Event, err error) {
	if err := context.Cause(ctx); err != nil {
		return bus.Event{}, err
	}
	s, err := b.streamAt(at)
	if err != nil {
		return bus.Event{}, err
	}
	s.withLock(func(int64) {
		if s.log.hasEvent(at.Sequence) && s.log.entryAt(at.Sequence).stored == at.Stored.UnixNano() {
			event = s.log.entryAt(at.Sequence).event
			return
		}
		err = fmt.Errorf("memory: sequence %d of stream %q, stored at %v: %w", at.Sequence, s.config.Name, at.Stored, bus.ErrNoEvent)
	})
	return event, err
}

var _ bus.NextFinder = (*Bus)(nil)

// FindNext implements bus.NextFinder. It never waits.
func (b *Bus) FindNext(ctx context.Context, pattern string, after bus.Position) (found bus.Position, err error) {
	if err := context.Cause(ctx); err != nil {
		return bus.Position{}, err
	}
	s, err := b.streamAt(after)
	if err != nil {
		return bus.Position{}, err
	}
	filter := bus.FilterOf(pattern)
	s.withLock(func(int64) {
		for seq := max(s.log.first, after.Sequence+1); seq < s.log.next; seq++ {
			if e := s.log.entryAt(seq); !e.deleted && bus.Match(filter, e.subject) {
				found = s.positionOf(seq, e.stored)
				return
			}
		}
	})
	return found, nil
}

var _ bus.LayoutFinder = (*Bus)(nil)

// FindLayouts implements bus.LayoutFinder. It never waits.
func (b *Bus) FindLayouts(ctx context.Context, topic string, in bus.Position) ([]int, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s, err := b.streamAt(in)
	if err != nil {
		return nil, err
	}
	found := make(map[int]struct{})
	s.withLock(func(int64) {
		for seq := s.log.first; seq < s.log.next; seq++ {
			of := s.log.entryAt(seq).event.Topic
			if p, ok := bus.ParsePartition(of); ok && p.Topic == topic && p.Name() == of {
				found[p.Of] = struct{}{}
			}
		}
	})
	return slices.Sorted(maps.Keys(found)), nil
}

// streamAt finds the stream that a position names.
func (b *Bus) streamAt(at bus.Position) (*memoryStream, error) {
	s, err := b.named(at.Stream[:max(0, strings.LastIndexByte(at.Stream, '@'))])
	if err != nil {
		return nil, fmt.Errorf("memory: position %q: %w", at.Stream, bus.ErrNoStream)
	}
	return s, nil
}
