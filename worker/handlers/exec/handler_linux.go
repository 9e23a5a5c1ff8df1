package exec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/internal/command"
)

// Handler is a handler that runs a command for each event. Its methods are safe for concurrent use.
type Handler struct {
	shellHandler

	logLost   sync.Once
	running   atomic.Int64
	succeeded atomic.Bool // some command
}

// New returns a handler that runs the line by /bin/sh for each event of the group. See the
// package for what the command is given, and what it answers by its exit status. It starts a
// process that ends the commands should this one die; the caller calls Close.
func New(group, line string, o *Options) (*Handler, error) {
	opts, err := o.withDefaults(line)
	if err != nil {
		return nil, err
	}
	x := &Handler{}
	if err := x.startRunner(group, line, &opts, opts.Stdout); err != nil {
		return nil, err
	}
	return x, nil
}

// KeepGuard is what the process does that Options.Guard names, with its standard input and error.
func KeepGuard(r io.Reader, log io.Writer) error { return command.KeepProcess(r, log) }

// Handle is a consumer.Handler.
func (x *Handler) Handle(ctx context.Context, e bus.Event) error {
	env, err := eventEnvironment(ctx, &e, x.group)
	if err != nil {
		return consumer.Permanent(err)
	}
	x.running.Add(1)
	exit, err := x.runner.Run(ctx, x.line, slices.Concat(x.env, env), e.Data)
	others := x.running.Add(-1)
	if err != nil {
		return x.classifyStartFailure(ctx, err, others > 0)
	}
	x.starts.recordSuccess()
	if exit.Lost != nil {
		x.reportLostOutput(exit.Lost)
	}
	if exit.Code == 0 {
		x.succeeded.Store(true)
	} else if err := cannotRunError(&exit); err != nil && !x.succeeded.Load() {
		x.endWorker(err)
		return consumer.Unavailable(err)
	}
	return classifyExit(ctx, &exit)
}

// classifyStartFailure says what it means that a command was not started: nothing about the
// event, as a rule.
func (x *Handler) classifyStartFailure(ctx context.Context, err error, othersRun bool) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, command.ErrUnguarded):
		return consumer.Unavailable(err) // the worker ends
	case errors.Is(err, syscall.E2BIG):
		return consumer.Unavailable(consumer.Permanent(
			fmt.Errorf("the command and the attributes of the event do not fit into an environment: %w", err)))
	}
	x.endIfNothingStarts(err, othersRun)
	return consumer.Throttled(0, fmt.Errorf("the command was not started: %w", err))
}

// reportLostOutput notes that what a command wrote went nowhere, which is no reason to
// run it again.
func (x *Handler) reportLostOutput(why error) {
	x.logLost.Do(func() {
		x.log.Error("what commands write to standard output is lost: make room, or send it elsewhere; their events are done all the same", "error", why)
	})
	if errors.Is(why, syscall.EPIPE) {
		x.endWorker(errOutputUnread)
	}
}

var errOutputUnread = errors.New("nobody reads the standard output of commands any more")

// Exit statuses that mean something: EX_DATAERR, EX_UNAVAILABLE and EX_TEMPFAIL of sysexits, and
// what shells answer.
const (
	exitPermanent     = 65
	exitUnavailable   = 69
	exitThrottled     = 75
	exitNotExecutable = 126
	exitNotFound      = 127
)

func classifyExit(ctx context.Context, exit *command.Exit) error {
	tail := exit.Tail
	if tail != "" {
		tail = ": " + tail
	}
	switch {
	case exit.Stopped:
		return fmt.Errorf("stopped: %w%s", context.Cause(ctx), tail)
	case exit.Code == 0:
		return nil
	}
	err := fmt.Errorf("%s%s%s", exit.How, meaningOfExit(exit), tail)
	switch exit.Code {
	case exitPermanent:
		return consumer.Permanent(err)
	case exitUnavailable:
		return consumer.Unavailable(err)
	case exitThrottled:
		return consumer.Throttled(0, err)
	}
	return err
}

// meaningOfExit is what the shell's own exit statuses mean.
func meaningOfExit(exit *command.Exit) string {
	switch {
	case exit.Stopped:
	case exit.Code == exitNotExecutable:
		return ", which means that the command cannot be executed"
	case exit.Code == exitNotFound:
		return ", which means that the command does not exist"
	}
	return ""
}

// cannotRunError tells of a command that does not exist or cannot be executed, by its exit status.
func cannotRunError(exit *command.Exit) error {
	what := meaningOfExit(exit)
	if what == "" {
		return nil
	}
	return fmt.Errorf("the command ended with %s%s: %s: check its name, path and permissions, and try it in a shell",
		exit.How, what, cmp.Or(exit.Tail, "it said nothing"))
}

// Actor is for a run.Group: run returns with an error when no more commands can be run, because the
// command does not exist, or none can be started, or when whoever read their standard output has
// closed it. It ends nothing: that is Close.
func (x *Handler) Actor() (run func() error, stop func(error)) {
	stopped := make(chan struct{})
	return func() error { return x.runUntil(stopped) }, func(error) { close(stopped) }
}

// Close ends what is left of the commands. It is called after the subscription has ended.
func (x *Handler) Close() error { return x.guard.Close() }
