package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// watermarks is what is kept under a group and topic, in one value, so that Begin sees all incarnations at once.
type watermarks struct {
	V       int         `json:"v"`
	Streams []watermark `json:"streams"`
}

type watermark struct {
	Stream   text      `json:"stream"`
	Sequence uint64    `json:"seq"`
	Stored   time.Time `json:"stored"`
}

// Begin implements dedupe.Watermarker, in two round trips.
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Position) (dedupe.Position, error) {
	kept := at
	err := s.watermark(ctx, group, topic, func(w *watermarks) bool {
		if i := w.index(at.Stream); i >= 0 {
			kept = w.position(i)
			return false
		}
		kept = at
		if len(w.Streams) > 0 {
			kept = dedupe.Position{Stream: at.Stream}
		}
		w.Streams = append(w.Streams, watermark{Stream: text(kept.Stream), Sequence: kept.Sequence, Stored: kept.Stored.UTC()})
		return true
	})
	if err != nil {
		return dedupe.Position{}, fmt.Errorf("begin watermark: %w", err)
	}
	return kept, nil
}

// Advance implements dedupe.Watermarker, in two round trips.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Position) error {
	err := s.watermark(ctx, group, topic, func(w *watermarks) bool {
		i := w.index(at.Stream)
		if i < 0 || w.Streams[i].Sequence > at.Sequence {
			return false
		}
		m := &w.Streams[i]
		if m.Sequence == at.Sequence && !at.Stored.After(m.Stored) {
			return false
		}
		m.Sequence = at.Sequence
		if at.Stored.After(m.Stored) {
			m.Stored = at.Stored.UTC()
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("advance watermark: %w", err)
	}
	return nil
}

// watermark reads what is kept, lets change alter it, and writes it if that returns true, until nobody else wrote
// in between.
func (s *Store) watermark(ctx context.Context, group, topic string, change func(*watermarks) bool) error {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	key := watermarkKey(group, topic)
	for try := range maxTries {
		if err := pause(ctx, try); err != nil {
			return err
		}
		w, revision, err := s.readWatermarks(ctx, key)
		if err != nil {
			return err
		}
		if !change(&w) {
			return nil
		}
		w.V = version
		data, err := json.Marshal(w)
		if err != nil {
			return fmt.Errorf("key %s: a time cannot be written: %w", key, err)
		}
		outcomes, err := s.writes(ctx, []write{{key: key, data: data, expect: expect(revision)}})
		if err != nil {
			return err
		}
		if err := outcomes[0].err; !errors.Is(err, errConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: %s in bucket %q, after %d tries", ErrContended, key, s.bucket, maxTries)
}

func (s *Store) readWatermarks(ctx context.Context, key string) (w watermarks, revision uint64, err error) {
	msgs, err := s.reads(ctx, []string{key})
	if err != nil || msgs[0].revision == 0 || msgs[0].marker {
		return w, firstRevision(msgs), err
	}
	if w, err = decodeWatermarks(msgs[0].data); err != nil {
		return w, 0, fmt.Errorf("%w: in bucket %q under %s: restore it; without it the group starts anew", err, s.bucket, key)
	}
	return w, msgs[0].revision, nil
}

func firstRevision(msgs []stored) uint64 {
	if len(msgs) == 0 {
		return 0
	}
	return msgs[0].revision
}

func decodeWatermarks(data []byte) (watermarks, error) {
	var w watermarks
	err := decodeValue(data, &w, &w.V)
	return w, err
}

func (w *watermarks) index(stream string) int {
	return slices.IndexFunc(w.Streams, func(m watermark) bool { return string(m.Stream) == stream })
}

func (w *watermarks) position(i int) dedupe.Position {
	m := w.Streams[i]
	return dedupe.Position{Stream: string(m.Stream), Sequence: m.Sequence, Stored: m.Stored}
}
