package cursor

import (
	"context"
	"sync"

	"github.com/onceish/onceish/dedupe"
)

// localWatermarks keeps the watermarks of one Cursor whose store keeps none.
type localWatermarks struct {
	mu   sync.Mutex
	kept []dedupe.Watermark
}

var _ dedupe.Watermarker = (*localWatermarks)(nil)

// Watermarks implements dedupe.Watermarker.
func (l *localWatermarks) Watermarks(context.Context, string, string) ([]dedupe.Watermark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]dedupe.Watermark(nil), l.kept...), nil
}

// Begin implements dedupe.Watermarker.
func (l *localWatermarks) Begin(_ context.Context, _, _ string, at dedupe.Watermark) (dedupe.Watermark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.ofStream(at.Stream); w != nil {
		return *w, nil
	}
	l.kept = append(l.kept, at)
	return at, nil
}

// Advance implements dedupe.Watermarker.
func (l *localWatermarks) Advance(_ context.Context, _, _ string, at dedupe.Watermark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.ofStream(at.Stream); w != nil && w.Sequence < at.Sequence {
		*w = at
	}
	return nil
}

// Replace implements dedupe.Watermarker.
func (l *localWatermarks) Replace(_ context.Context, _, _ string, was, now dedupe.Watermark) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.ofStream(was.Stream)
	if w == nil || w.Sequence != was.Sequence || !w.Stored.Equal(was.Stored) {
		return false, nil
	}
	*w = now
	return true, nil
}

func (l *localWatermarks) ofStream(stream string) *dedupe.Watermark {
	for i := range l.kept {
		if l.kept[i].Stream == stream {
			return &l.kept[i]
		}
	}
	return nil
}
