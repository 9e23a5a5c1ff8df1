//go:build !linux

package handlers

import (
	"context"
	"io"

	"github.com/onceish/onceish/bus"
)

// Exec is a handler that runs a command for each event, on Linux.
type Exec struct{}

// NewExec returns ErrUnsupported.
func NewExec(string, string, *ExecOptions) (*Exec, error) { return nil, ErrUnsupported }

// KeepGuard returns ErrUnsupported.
func KeepGuard(io.Reader, io.Writer) error { return ErrUnsupported }

// Handle returns ErrUnsupported.
func (*Exec) Handle(context.Context, bus.Event) error { return ErrUnsupported }

// Actor is for a run.Group.
func (*Exec) Actor() (run func() error, stop func(error)) {
	return func() error { return ErrUnsupported }, func(error) {}
}

// Close does nothing.
func (*Exec) Close() error { return nil }
