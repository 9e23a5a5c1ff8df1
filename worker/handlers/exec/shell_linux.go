package exec

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/onceish/onceish/worker/internal/command"
)

// shellHandler is what Handler and Stream have in common: what runs a line, the process that ends
// commands should this one die, and why no more events can be handled.
type shellHandler struct {
	line, group string
	env         []string
	guard       *command.Guard
	runner      *command.Runner
	log         *slog.Logger
	starts      startMonitor

	finishing sync.Once
	over      chan struct{} // closed once no more events can be handled
	err       error         // why, once over is closed
}

func (h *shellHandler) startRunner(group, line string, o *Options, stdout io.Writer) (err error) {
	h.line, h.group, h.env, h.log, h.over = line, group, withoutSecrets(o.Env), o.Logger, make(chan struct{})
	if h.guard, err = command.StartGuard(o.Guard[0], o.Guard[1:], o.Stderr, o.Reaper); err != nil {
		return err
	}
	if h.runner, err = command.NewRunner(h.guard, command.Options{Stdout: stdout, Stderr: o.Stderr, Grace: o.Grace}); err != nil {
		return errors.Join(err, h.guard.Close())
	}
	return nil
}

// endIfNothingStarts ends the worker after a failed start if none has succeeded for long, unless
// some command runs.
func (h *shellHandler) endIfNothingStarts(err error, someRuns bool) {
	if h.starts.recordFailure() && !someRuns {
		h.endWorker(fmt.Errorf("no command could be started for %v: %w", startFailureLimit, err))
	}
}

// endWorker makes every wait end, and so the worker. The first cause is kept.
func (h *shellHandler) endWorker(cause error) {
	h.finishing.Do(func() {
		h.err = cause
		close(h.over)
	})
}

// endError is why no more events are handled; nil while they are.
func (h *shellHandler) endError() error {
	select {
	case <-h.over:
		return h.err
	default:
		return nil
	}
}

// runUntil is what an Actor runs.
func (h *shellHandler) runUntil(stopped <-chan struct{}) error {
	select {
	case <-h.guard.Ended():
		return h.guard.Err()
	case <-h.over:
		return h.err
	case <-stopped:
		return nil
	}
}

// Reaper waits for processes that commands have left behind, and that have ended: without it they
// stay zombies where this process is the first one of a container. Close it after the handlers.
type Reaper = command.Reaper

// StartReaper makes orphans of commands this process's children, and waits for them. It is for a
// program that starts processes by handlers alone which have the Reaper: it would take the exit
// status of others from who waits for them. There is one Reaper in a process.
func StartReaper(log *slog.Logger) (*Reaper, error) { return command.StartReaper(log) }
