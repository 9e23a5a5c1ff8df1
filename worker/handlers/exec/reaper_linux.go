package exec

import (
	"log/slog"

	"github.com/onceish/onceish/worker/internal/command"
)

// Reaper waits for processes that commands have left behind, and that have ended: without it they
// stay zombies where this process is the first one of a container. Close it after the handlers.
type Reaper = command.Reaper

// StartReaper makes orphans of commands this process's children, and waits for them. It is for a
// program that starts processes by handlers alone which have the Reaper: it would take the exit
// status of others from who waits for them. There is one Reaper in a process.
func StartReaper(log *slog.Logger) (*Reaper, error) { return command.StartReaper(log) }
