//go:build !linux

package exec

import (
	"context"
	"io"

	"github.com/onceish/onceish/bus"
)

// Handler is a handler that runs a command for each event, on Linux.
type Handler struct{}

// New returns ErrUnsupported.
func New(string, string, *Options) (*Handler, error) { return nil, ErrUnsupported }

// KeepGuard returns ErrUnsupported.
func KeepGuard(io.Reader, io.Writer) error { return ErrUnsupported }

// Handle returns ErrUnsupported.
func (*Handler) Handle(context.Context, bus.Event) error { return ErrUnsupported }

// Actor is for a run.Group.
func (*Handler) Actor() (run func() error, stop func(error)) {
	return func() error { return ErrUnsupported }, func(error) {}
}

// Close does nothing.
func (*Handler) Close() error { return nil }
