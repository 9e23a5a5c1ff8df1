//go:build !linux

package exec

import "log/slog"

// Reaper waits for processes that commands have left behind, on Linux.
type Reaper struct{}

// StartReaper returns ErrUnsupported.
func StartReaper(*slog.Logger) (*Reaper, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Reaper) Close() error { return nil }
