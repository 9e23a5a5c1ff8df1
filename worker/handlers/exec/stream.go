package exec

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/onceish/onceish/worker/internal/command"
)

// StreamOptions of NewStream.
type StreamOptions struct {
	// Guard is the program, with its arguments, that comes to call KeepGuard: this very program, as
	// a rule. Required.
	Guard []string
	// Env is the environment that the command inherits, as in os.Environ. The worker's own
	// credentials are left out.
	Env []string
	// Stderr gets what the command writes to its standard error, line by line. Nil: nobody does.
	Stderr io.Writer
	// Grace is how long the command may take to end by itself after its input has ended, and how
	// long after it was told to end by SIGTERM, before it is killed. Zero: 2 s, but no more than
	// half of Drain.
	Grace time.Duration
	// Drain is how long draining may take, if the command is run by a subscription. Zero: it
	// does not matter.
	Drain time.Duration
	// Idle is how long the second command, in which suspects run alone, waits for the next one
	// before it is ended. Zero: 10 s.
	Idle time.Duration
	// Reaper is as in Options.
	Reaper *Reaper
	// Logger is told when a command ends, and of answers that belong to no event; slog.Default().
	Logger *slog.Logger
}

const defaultIdle = 10 * time.Second

func (o *StreamOptions) withDefaults(line string) (StreamOptions, error) {
	var c StreamOptions
	if o != nil {
		c = *o
	}
	if err := command.CheckLine(line); err != nil {
		return c, fmt.Errorf("the command line: %w", err)
	}
	switch {
	case len(c.Guard) == 0:
		return c, errors.New("StreamOptions.Guard is empty: it must name the program that calls KeepGuard")
	case c.Grace < 0 || c.Drain < 0 || c.Idle < 0:
		return c, fmt.Errorf("StreamOptions.Grace is %v, Drain %v and Idle %v: they must be positive, or 0", c.Grace, c.Drain, c.Idle)
	}
	c.Grace = graceOrDefault(c.Grace, c.Drain)
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}
