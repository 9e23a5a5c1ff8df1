package flow

import (
	"context"
	"sync"
	"time"
)

// Gate holds starts back. It is entered right before a handler would run. It must be safe for
// concurrent use.
type Gate interface {
	// Enter blocks while the gate is shut. If ctx ends first, Enter returns its error and no leave.
	// The caller calls leave once, with the outcome of what was let through.
	Enter(ctx context.Context) (leave func(error), err error)
}

// AdaptiveGate is a Gate with a capacity that changes. Whoever starts events can stop fetching what
// could not start.
type AdaptiveGate interface {
	Gate
	// Capacity returns how many may be inside the gate at once now. changed is closed when that is
	// no longer so. It does not block.
	Capacity() (c Capacity, changed <-chan struct{})
}

// Capacity is how many may be inside a gate at once.
type Capacity struct {
	// Limit is how many. Zero: the gate is shut. Negative: there is no limit.
	Limit int
	// Until is when a shut gate is expected to open. Zero: nobody knows, or it is open.
	Until time.Time
	// Reason is why it is limited, for people. Empty: it is not.
	Reason string
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
