package flow

import (
	"context"
	"sync"
)

// Gate holds starts back. It is entered right before a handler would run. It must be safe for
// concurrent use.
type Gate interface {
	// Enter blocks while the gate is shut. If ctx ends first, Enter returns its error and no leave.
	// The caller calls leave once, with the outcome of what was let through.
	Enter(ctx context.Context) (leave func(error), err error)
}

// Switch is a Gate that is opened and shut by hand. The zero Switch is open. It must not be copied.
type Switch struct {
	mu   sync.Mutex
	open chan struct{} // closed by Open; nil while open
}

var _ Gate = (*Switch)(nil)

// Shut blocks callers that enter from now on.
func (s *Switch) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(chan struct{})
	}
}

// Open lets waiting and later callers through.
func (s *Switch) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		close(s.open)
		s.open = nil
	}
}

// Enter implements Gate.
func (s *Switch) Enter(ctx context.Context) (func(error), error) {
	for {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		if open == nil {
			return func(error) {}, nil
		}
		select {
		case <-open:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
