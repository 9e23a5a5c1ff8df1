package exec

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/onceish/onceish/worker/internal/command"
)

// Options of New and NewStream.
type Options struct {
	// Guard is the program, with its arguments, that comes to call KeepGuard: this very program, as
	// a rule. Required.
	Guard []string
	// Env is the environment that commands inherit, as in os.Environ. The worker's own credentials
	// are left out.
	Env []string
	// Stdout gets what commands write to their standard output; those of a Stream answer there.
	// Nil: nobody does.
	Stdout io.Writer
	// Stderr gets what commands write to their standard error. Nil: nobody does.
	Stderr io.Writer
	// Grace is how long a command that is stopped may take to end before it is killed. That
	// of a Stream has as long before, after its input has ended. Zero: 2 s, but no more than
	// half of Drain.
	Grace time.Duration
	// Drain is how long draining may take, if the commands are run by a subscription. Zero: it
	// does not matter.
	Drain time.Duration
	// Idle is how long the second command of a Stream, in which suspects run alone, waits for the
	// next one before it is ended. Zero: 10 s.
	Idle time.Duration
	// Reaper waits for what commands leave behind; see StartReaper. Nil: the first process of the
	// machine, or container, does.
	Reaper *Reaper
	// Logger is told once that Stdout does not take what commands write, when the command of a
	// Stream ends, and of answers that belong to no event; slog.Default().
	Logger *slog.Logger
}

const (
	defaultGrace = 2 * time.Second
	defaultIdle  = 10 * time.Second
)

func (o *Options) withDefaults(line string) (Options, error) {
	c := *cmp.Or(o, &Options{})
	if err := command.CheckLine(line); err != nil {
		return c, fmt.Errorf("the command line: %w", err)
	}
	switch {
	case len(c.Guard) == 0 || c.Guard[0] == "":
		return c, errors.New("Options.Guard is empty: it must name the program that calls KeepGuard")
	case c.Grace < 0 || c.Drain < 0 || c.Idle < 0:
		return c, fmt.Errorf("Options.Grace is %v, Drain %v and Idle %v: they must be positive, or 0", c.Grace, c.Drain, c.Idle)
	}
	if c.Drain > 0 {
		c.Grace = cmp.Or(c.Grace, min(defaultGrace, c.Drain/2))
	}
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	c.Idle = cmp.Or(c.Idle, defaultIdle)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, nil
}
