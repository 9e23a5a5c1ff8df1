//go:build !linux

package exec

import (
	"context"

	"github.com/onceish/onceish/bus"
)

// Stream is a handler that hands events to one command that runs on, on Linux.
type Stream struct{}

// NewStream returns ErrUnsupported.
func NewStream(string, string, *StreamOptions) (*Stream, error) { return nil, ErrUnsupported }

// Handle returns ErrUnsupported.
func (*Stream) Handle(context.Context, bus.Event) error { return ErrUnsupported }

// Actor is for a run.Group.
func (*Stream) Actor() (run func() error, stop func(error)) {
	return func() error { return ErrUnsupported }, func(error) {}
}

// Close does nothing.
func (*Stream) Close() error { return nil }
