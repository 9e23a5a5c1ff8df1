package breaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/flow"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Failures is how many failures within Over open the breaker. Default: 5; from 1 to 10,000.
	Failures int
	// Over is the window in which failures are counted. It moves in ten steps, so that a failure
	// counts for at least nine tenths of Over. Default: 1 min; from 10 ms to 1 day.
	Over time.Duration
	// Wait is how long the breaker stays open at first. It doubles each time the breaker opens
	// again before it has closed. Default: 10 s; from 1 ms to 1 day.
	Wait time.Duration
	// MaxWait is how far Wait doubles. Default: 5 min, or Wait if that is longer; from Wait to 1
	// day.
	MaxWait time.Duration
	// RampTo ends the ramp: the breaker closes instead of letting RampTo or more runs in at once.
	// Use about the concurrency of the caller. Default: 16; from 1 to 100,000. At 1 and 2 the first
	// successful probe closes the breaker.
	RampTo int
	// ProbeLimit is how long a half-open breaker waits for the runs that it let in. Then it lets as
	// many in again, as if they had left. Their results still count. Default: 1 min; from 1 ms to 1
	// day.
	ProbeLimit time.Duration
	// IsFailure reports whether the error of a run tells against the receiver. It is not called for
	// nil, which is a success. An error that is no failure counts for nothing. Default: every error
	// except context.Canceled, which is also what starts that never ran are given back with.
	IsFailure func(error) bool
	// KeyOf returns what the run of this context is for, such as the identity of its event. Several
	// failures of one key within Over count once, so that one event that always fails does not open
	// the breaker alone; and during the ramp, the key of the failure that has opened the breaker
	// last does not open it again. An empty key is different from every other. Default: every run
	// has an empty key.
	KeyOf func(context.Context) string
	// OnChange is called with every new state, in order, and the capacity in it. It must return
	// soon and must not call the Breaker. Default: nothing is called.
	OnChange func(State, flow.Capacity)
	// Shared has openings hold for a group of processes. Default: nil, for this one alone.
	Shared Shared
	// SharedTimeout bounds each call of Shared. Default: 2 s; from 1 ms to 1 min.
	SharedTimeout time.Duration
	// Logger gets the log. Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) withDefaults() (Options, error) {
	out := *cmp.Or(o, &Options{})
	out.Failures = cmp.Or(out.Failures, 5)
	out.Over = cmp.Or(out.Over, time.Minute)
	out.Wait = cmp.Or(out.Wait, 10*time.Second)
	out.MaxWait = cmp.Or(out.MaxWait, max(5*time.Minute, out.Wait))
	out.RampTo = cmp.Or(out.RampTo, 16)
	out.ProbeLimit = cmp.Or(out.ProbeLimit, time.Minute)
	out.SharedTimeout = cmp.Or(out.SharedTimeout, 2*time.Second)
	out.Logger = cmp.Or(out.Logger, slog.Default())
	if out.IsFailure == nil {
		out.IsFailure = func(err error) bool { return !errors.Is(err, context.Canceled) }
	}
	if out.KeyOf == nil {
		out.KeyOf = func(context.Context) string { return "" }
	}
	if out.OnChange == nil {
		out.OnChange = func(State, flow.Capacity) {}
	}
	const day = 24 * time.Hour
	return out, errors.Join(
		checkRange("Options.Failures", out.Failures, 1, 10_000),
		checkRange("Options.Over", out.Over, 10*time.Millisecond, day),
		checkRange("Options.Wait", out.Wait, time.Millisecond, day),
		checkRange("Options.MaxWait", out.MaxWait, out.Wait, day),
		checkRange("Options.RampTo", out.RampTo, 1, 100_000),
		checkRange("Options.ProbeLimit", out.ProbeLimit, time.Millisecond, day),
		checkRange("Options.SharedTimeout", out.SharedTimeout, time.Millisecond, time.Minute),
	)
}

// checkRange returns an error that names the field unless its value is in the range.
func checkRange[T int | time.Duration](field string, value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("breaker: %s is %v: it must be from %v to %v", field, value, low, high)
	}
	return nil
}
