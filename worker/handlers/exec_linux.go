package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"syscall"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/internal/command"
)

// Exec is a handler that runs a command for each event. Its methods are safe for concurrent use.
type Exec struct {
	line, group string
	env         []string
	guard       *command.Guard
	runner      *command.Runner
	log         *slog.Logger

	logLost     sync.Once
	closeUnread sync.Once
	unread      chan struct{} // closed once nobody reads the standard output of commands any more
}

// NewExec returns a handler that runs the line by /bin/sh for each event of the group. See the package for what the command is
// given, and what it answers by its exit status. It starts a process that ends the commands should this one die; the
// caller calls Close.
func NewExec(group, line string, o *ExecOptions) (*Exec, error) {
	opts, err := o.complete(line)
	if err != nil {
		return nil, err
	}
	guard, err := command.StartGuard(opts.Guard[0], opts.Guard[1:], opts.Stderr, opts.Reaper)
	if err != nil {
		return nil, err
	}
	runner, err := command.NewRunner(guard, command.Options{Stdout: opts.Stdout, Stderr: opts.Stderr, Grace: opts.Grace})
	if err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	return &Exec{
		line: line, group: group, env: inherited(opts.Env), guard: guard, runner: runner, log: opts.Logger, unread: make(chan struct{}),
	}, nil
}

// KeepGuard is what the process does that Options.Guard names, with its standard input and error.
func KeepGuard(r io.Reader, log io.Writer) error { return command.KeepProcess(r, log) }

// Handle is a consumer.Handler.
func (x *Exec) Handle(ctx context.Context, e bus.Event) error {
	env, err := environment(ctx, &e, x.group)
	if err != nil {
		return consumer.Permanent(err)
	}
	exit, err := x.runner.Run(ctx, x.line, slices.Concat(x.env, env), e.Data)
	if errors.Is(err, syscall.E2BIG) {
		return consumer.Permanent(fmt.Errorf("the attributes of the event do not fit into an environment: %w", err))
	}
	if err != nil {
		return err
	}
	if exit.Lost != nil {
		x.outputLost(exit.Lost)
	}
	return judge(ctx, &exit)
}

// outputLost notes that what a command wrote went nowhere, which is no reason to run it again.
func (x *Exec) outputLost(why error) {
	x.logLost.Do(func() {
		x.log.Error("what commands write to standard output is lost: make room, or send it elsewhere; their events are done all the same", "error", why)
	})
	if errors.Is(why, syscall.EPIPE) {
		x.closeUnread.Do(func() { close(x.unread) })
	}
}

var errUnread = errors.New("nobody reads the standard output of commands any more")

// Exit statuses that mean something: EX_DATAERR of sysexits, and what shells answer.
const (
	exitPermanent     = 65
	exitNotExecutable = 126
	exitNotFound      = 127
)

func judge(ctx context.Context, exit *command.Exit) error {
	tail := exit.Tail
	if tail != "" {
		tail = ": " + tail
	}
	switch {
	case exit.Stopped:
		return fmt.Errorf("stopped: %w%s", context.Cause(ctx), tail)
	case exit.Code == 0:
		return nil
	case exit.Code == exitPermanent:
		return consumer.Permanent(fmt.Errorf("%s%s", exit.How, tail))
	case exit.Code == exitNotExecutable:
		return fmt.Errorf("%s, which means that the command cannot be executed%s", exit.How, tail)
	case exit.Code == exitNotFound:
		return fmt.Errorf("%s, which means that the command does not exist%s", exit.How, tail)
	}
	return fmt.Errorf("%s%s", exit.How, tail)
}

// Actor is for a run.Group: run returns with an error when no more commands can be run, or when
// whoever read their standard output has closed it. It ends nothing: that is Close.
func (x *Exec) Actor() (run func() error, stop func(error)) {
	stopped := make(chan struct{})
	run = func() error {
		select {
		case <-x.guard.Ended():
			return x.guard.Err()
		case <-x.unread:
			return errUnread
		case <-stopped:
			return nil
		}
	}
	return run, func(error) { close(stopped) }
}

// Close ends what is left of the commands. It is called after the subscription has ended.
func (x *Exec) Close() error { return x.guard.Close() }
