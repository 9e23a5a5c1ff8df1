//go:build !linux

package exec

import (
	"context"
	"io"
	"log/slog"

	"github.com/onceish/onceish/bus"
)

// Handler is a handler that runs a command for each event, on Linux.
type Handler struct{ unsupported }

// Stream is a handler that hands events to one command that runs on, on Linux.
type Stream struct{ unsupported }

// Reaper waits for processes that commands have left behind, on Linux.
type Reaper struct{ unsupported }

// New returns ErrUnsupported.
func New(string, string, *Options) (*Handler, error) { return nil, ErrUnsupported }

// NewStream returns ErrUnsupported.
func NewStream(string, string, *Options) (*Stream, error) { return nil, ErrUnsupported }

// StartReaper returns ErrUnsupported.
func StartReaper(*slog.Logger) (*Reaper, error) { return nil, ErrUnsupported }

// KeepGuard returns ErrUnsupported.
func KeepGuard(io.Reader, io.Writer) error { return ErrUnsupported }

type unsupported struct{}

// Handle returns ErrUnsupported.
func (unsupported) Handle(context.Context, bus.Event) error { return ErrUnsupported }

// HandleBatch returns ErrUnsupported.
func (*Stream) HandleBatch(context.Context, []bus.Event) []error { return []error{ErrUnsupported} }

// Actor is for a run.Group.
func (unsupported) Actor() (run func() error, stop func(error)) {
	return func() error { return ErrUnsupported }, func(error) {}
}

// Close does nothing.
func (unsupported) Close() error { return nil }
