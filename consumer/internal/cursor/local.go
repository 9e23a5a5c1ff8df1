package cursor

import (
	"context"
	"sync"

	"github.com/onceish/onceish/dedupe"
)

// local keeps the watermarks of one Cursor whose store keeps none.
type local struct {
	mu   sync.Mutex
	kept []dedupe.Watermark
}

var _ dedupe.Watermarker = (*local)(nil)

// Watermarks implements dedupe.Watermarker.
func (l *local) Watermarks(context.Context, string, string) ([]dedupe.Watermark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]dedupe.Watermark(nil), l.kept...), nil
}

// Begin implements dedupe.Watermarker.
func (l *local) Begin(_ context.Context, _, _ string, at dedupe.Watermark) (dedupe.Watermark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.of(at.Stream); w != nil {
		return *w, nil
	}
	l.kept = append(l.kept, at)
	return at, nil
}

// Advance implements dedupe.Watermarker.
func (l *local) Advance(_ context.Context, _, _ string, at dedupe.Watermark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.of(at.Stream); w != nil && w.Sequence < at.Sequence {
		*w = at
	}
	return nil
}

// Replace implements dedupe.Watermarker.
func (l *local) Replace(_ context.Context, _, _ string, was, now dedupe.Watermark) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.of(was.Stream)
	if w == nil || w.Sequence != was.Sequence || !w.Stored.Equal(was.Stored) {
		return false, nil
	}
	*w = now
	return true, nil
}

func (l *local) of(stream string) *dedupe.Watermark {
	for i := range l.kept {
		if l.kept[i].Stream == stream {
			return &l.kept[i]
		}
	}
	return nil
}
