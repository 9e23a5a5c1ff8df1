//go:build linux

package command

import (
	"bytes"
	"io"
	"sync"
)

// longestLine is how much of a line without an end is kept back, in bytes.
const longestLine = 8 << 10

// shared is a writer that several commands write lines to.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func newShared(w io.Writer) *shared {
	if w == nil {
		w = io.Discard
	}
	return &shared{w: w}
}

func (s *shared) lines() *lines { return &lines{to: s} }

func (s *shared) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(p)
	return err
}

// lines passes on whole lines, so that those of two commands do not mix. What could not be passed
// on is the error of flush: a command is not to fail at a write because our own output is closed.
type lines struct {
	to   *shared
	kept []byte
	err  error
}

// Write never fails.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if end := bytes.LastIndexByte(p, '\n') + 1; end > 0 {
		l.pass(p[:end])
		p = p[end:]
	}
	l.kept = append(l.kept, p...)
	if len(l.kept) > longestLine {
		l.pass(nil)
	}
	return n, nil
}

// pass writes what was kept, and then p.
func (l *lines) pass(p []byte) {
	if len(l.kept) > 0 {
		p = append(l.kept, p...)
	}
	if err := l.to.write(p); err != nil && l.err == nil {
		l.err = err
	}
	l.kept = l.kept[:0]
}

func (l *lines) flush() error {
	if len(l.kept) > 0 {
		l.pass([]byte{'\n'})
	}
	return l.err
}
