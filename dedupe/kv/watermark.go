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

// groupWatermarks is what is kept under a group and topic, in one value, so that Begin sees all
// incarnations at once.
type groupWatermarks struct {
	V       int               `json:"v"`
	Streams []streamWatermark `json:"streams"`
}

type streamWatermark struct {
	Stream jsonText `json:"stream"`
	sequencePoint
	Trail []sequencePoint `json:"trail,omitempty"`
}

type sequencePoint struct {
	Sequence uint64    `json:"seq"`
	Stored   time.Time `json:"stored"`
}

func newWatermark(at dedupe.Watermark) streamWatermark {
	w := streamWatermark{Stream: jsonText(at.Stream), sequencePoint: sequencePoint{at.Sequence, at.Stored.UTC()}}
	for _, p := range at.Trail {
		w.Trail = append(w.Trail, sequencePoint{p.Sequence, p.Stored.UTC()})
	}
	return w
}

func (w *streamWatermark) toWatermark() dedupe.Watermark {
	out := dedupe.Watermark{Position: dedupe.Position{Stream: string(w.Stream), Sequence: w.Sequence, Stored: w.Stored}}
	for _, p := range w.Trail {
		out.Trail = append(out.Trail, dedupe.Point(p))
	}
	return out
}

// Watermarks implements dedupe.Watermarker, in one round trip.
func (s *Store) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	ctx, cancel, err := s.beginCall(ctx)
	if err != nil {
		return nil, fmt.Errorf("read watermarks: %w", err)
	}
	defer cancel()
	w, _, err := s.readWatermarks(ctx, watermarkKey(group, topic))
	if err != nil {
		return nil, fmt.Errorf("read watermarks: %w", err)
	}
	out := make([]dedupe.Watermark, len(w.Streams))
	for i := range w.Streams {
		out[i] = w.Streams[i].toWatermark()
	}
	return out, nil
}

// Begin implements dedupe.Watermarker, in two round trips.
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	kept := at
	err := s.changeWatermarks(ctx, group, topic, func(w *groupWatermarks) bool {
		if i := w.streamIndex(at.Stream); i >= 0 {
			kept = w.Streams[i].toWatermark()
			return false
		}
		kept = at
		w.Streams = append(w.Streams, newWatermark(at))
		return true
	})
	if err != nil {
		return dedupe.Watermark{}, fmt.Errorf("begin watermark: %w", err)
	}
	return kept, nil
}

// Advance implements dedupe.Watermarker, in two round trips.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	err := s.changeWatermarks(ctx, group, topic, func(w *groupWatermarks) bool {
		i := w.streamIndex(at.Stream)
		if i < 0 || w.Streams[i].Sequence >= at.Sequence {
			return false
		}
		w.Streams[i] = newWatermark(at)
		return true
	})
	if err != nil {
		return fmt.Errorf("advance watermark: %w", err)
	}
	return nil
}

// Replace implements dedupe.Watermarker, in two round trips.
func (s *Store) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	replaced := false
	err := s.changeWatermarks(ctx, group, topic, func(w *groupWatermarks) bool {
		i := w.streamIndex(was.Stream)
		replaced = i >= 0 && w.Streams[i].Sequence == was.Sequence && w.Streams[i].Stored.Equal(was.Stored)
		if replaced {
			w.Streams[i] = newWatermark(now)
		}
		return replaced
	})
	if err != nil {
		return false, fmt.Errorf("replace watermark: %w", err)
	}
	return replaced, nil
}

// changeWatermarks reads what is kept, lets change alter it, and writes it if that returns true,
// until nobody else wrote in between.
func (s *Store) changeWatermarks(ctx context.Context, group, topic string, change func(*groupWatermarks) bool) error {
	ctx, cancel, err := s.beginCall(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	key := watermarkKey(group, topic)
	for try := range maxTries {
		if err := pauseBeforeTry(ctx, try); err != nil {
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
		outcomes, err := s.writeAll(ctx, []keyWrite{{key: key, data: data, expect: expectRevision(revision)}})
		if err != nil {
			return err
		}
		if err := outcomes[0].err; !errors.Is(err, errConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: %s in bucket %q, after %d tries", ErrContended, key, s.bucket, maxTries)
}

func (s *Store) readWatermarks(ctx context.Context, key string) (w groupWatermarks, revision uint64, err error) {
	msgs, err := s.readMessages(ctx, []string{key})
	if err != nil {
		return w, 0, err
	}
	m := msgs[0]
	if m.revision == 0 || m.marker {
		return w, m.revision, nil
	}
	if w, err = decodeWatermarks(m.data); err != nil {
		return w, 0, fmt.Errorf("%w: in bucket %q under %s: restore it; without it the group starts again", err, s.bucket, key)
	}
	return w, m.revision, nil
}

func decodeWatermarks(data []byte) (groupWatermarks, error) {
	var w groupWatermarks
	err := decodeValue(data, &w, &w.V)
	return w, err
}

func (w *groupWatermarks) streamIndex(stream string) int {
	return slices.IndexFunc(w.Streams, func(m streamWatermark) bool { return string(m.Stream) == stream })
}
