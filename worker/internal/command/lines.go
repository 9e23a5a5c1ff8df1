//go:build linux

package command

import (
	"bytes"
	"cmp"
	"io"
	"strings"
	"sync"
)

// maxLineBytes is how much of a line without an end is kept back, in bytes.
const maxLineBytes = 8 << 10

// lineWriter is a writer that several commands write lines to.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{w: cmp.Or(w, io.Discard)}
}

func (s *lineWriter) newLineBuffer() *lineBuffer { return &lineBuffer{to: s} }

func (s *lineWriter) writeAll(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(p)
	return err
}

// lineBuffer passes on whole lines, so that those of two commands do not mix. What could not
// be passed on is the error of flush: a command is not to fail at a write because our own
// output is closed.
type lineBuffer struct {
	to   *lineWriter
	kept []byte
	err  error
}

// Write never fails.
func (l *lineBuffer) Write(p []byte) (int, error) {
	n := len(p)
	if end := bytes.LastIndexByte(p, '\n') + 1; end > 0 {
		l.passOn(p[:end])
		p = p[end:]
	}
	l.kept = append(l.kept, p...)
	if len(l.kept) > maxLineBytes {
		l.passOn(nil)
	}
	return n, nil
}

// passOn writes what was kept, and then p.
func (l *lineBuffer) passOn(p []byte) {
	if len(l.kept) > 0 {
		p = append(l.kept, p...)
	}
	l.err = cmp.Or(l.err, l.to.writeAll(p))
	l.kept = l.kept[:0]
}

func (l *lineBuffer) flushRest() error {
	if len(l.kept) > 0 {
		l.passOn([]byte{'\n'})
	}
	return l.err
}

// tailBytes is how much of a command's standard error is kept.
const tailBytes = 2 << 10

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	kept []byte
	cut  bool
}

// Write never fails.
func (t *tailBuffer) Write(p []byte) (int, error) {
	if len(p) > tailBytes {
		t.kept, t.cut = append(t.kept[:0], p[len(p)-tailBytes:]...), true
		return len(p), nil
	}
	if over := len(t.kept) + len(p) - tailBytes; over > 0 {
		t.kept, t.cut = append(t.kept[:0], t.kept[over:]...), true
	}
	t.kept = append(t.kept, p...)
	return len(p), nil
}

// String is valid UTF-8 without white space around it, and begins with a whole line if
// there is one.
func (t *tailBuffer) String() string {
	s := string(t.kept)
	if t.cut {
		if _, rest, ok := strings.Cut(s, "\n"); ok && strings.TrimSpace(rest) != "" {
			s = rest
		}
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, ""))
}
