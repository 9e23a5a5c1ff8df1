//go:build linux

package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"sync"
	"time"
)

// Shell runs the command lines.
const Shell = "/bin/sh"

// Mark is the environment variable by which the processes of a run are known.
const Mark = "ONCEISH_RUN"

// Runner runs commands. Its methods are safe for concurrent use.
type Runner struct {
	guard  *Guard
	grace  time.Duration
	stdout *lineWriter
	stderr *lineWriter
}

// Options of NewRunner.
type Options struct {
	// Stdout and Stderr are given what commands write, line by line. Nil: nobody is.
	Stdout, Stderr io.Writer
	// Grace is how long a command that is told to end may take to do so, before it is killed.
	Grace time.Duration
}

// NewRunner returns a Runner whose commands end with the guard's process at the latest.
func NewRunner(g *Guard, o Options) (*Runner, error) {
	if _, err := exec.LookPath(Shell); err != nil {
		return nil, fmt.Errorf("commands are run by %s, which cannot be used: %w", Shell, err)
	}
	out := newLineWriter(o.Stdout)
	errs := out
	if !sameWriter(o.Stderr, o.Stdout) {
		errs = newLineWriter(o.Stderr)
	}
	return &Runner{guard: g, grace: o.Grace, stdout: out, stderr: errs}, nil
}

// sameWriter reports whether two writers are known to be one. Those of a type that cannot be
// compared are not.
func sameWriter(a, b io.Writer) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && (a == nil || reflect.TypeOf(a).Comparable() && a == b)
}

// Exit is how a command ended.
type Exit struct {
	// Code is its exit status; -1 if a signal ended it.
	Code int
	// How says the same for people: "exit status 7", "signal: killed".
	How string
	// Stopped: it was told to end, because ctx had ended. What it exits with then says nothing
	// about its work.
	Stopped bool
	// Tail is the end of what it wrote to its standard error: at most 2 KiB of valid UTF-8.
	Tail string
	// Lost is why not all of its standard output was passed on.
	Lost error
}

// Run runs the line with the environment, which it adds its mark to, and data as standard input,
// and returns when it has ended. When ctx ends, the command is told to end. An error means that it
// was not run.
func (r *Runner) Run(ctx context.Context, line string, env []string, data []byte) (Exit, error) {
	if ctx.Err() != nil {
		return Exit{}, context.Cause(ctx)
	}
	run, err := r.guard.openRun()
	if err != nil {
		return Exit{}, err
	}
	defer run.closeRun()
	out, errs := r.stdout.newLineBuffer(), r.stderr.newLineBuffer()
	last := &tailBuffer{}
	cmd := shellCommand(line, env, run)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), out, io.MultiWriter(last, errs)
	cmd.WaitDelay = r.grace // for what has left the group and holds a pipe open
	if err := startGuarded(cmd, run); err != nil {
		return Exit{}, err
	}
	stopped := r.watchProcess(ctx, cmd.Process.Pid, run.mark)
	killGroup(cmd.Process.Pid)
	run.closeRun()
	err = r.guard.waitFor(cmd)
	lost := errors.Join(withoutExitError(err), out.flushRest())
	_ = errs.flushRest() // there is nobody to tell
	state := cmd.ProcessState
	return Exit{Code: state.ExitCode(), How: state.String(), Stopped: stopped, Tail: last.String(), Lost: lost}, nil
}

// withoutExitError leaves out what only says how the command ended, or who still holds
// its output open.
func withoutExitError(err error) error {
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return fmt.Errorf("pass on the output of the command: %w", err)
}

// watchProcess returns when the command has ended, which it tells it to do when ctx ends. The
// command is left to be waited for, so that its number is still its own.
func (r *Runner) watchProcess(ctx context.Context, pid int, mark string) (stopped bool) {
	gone := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer close(gone)
		awaitExit(pid)
	})
	defer waiting.Wait()
	select {
	case <-gone:
		return false
	case <-ctx.Done():
	}
	if hasExited(pid) { // while this process was frozen, perhaps: what it exited with is an answer
		return false
	}
	endGroup(pid)
	grace := time.NewTimer(r.grace)
	defer grace.Stop()
	select {
	case <-gone:
		awaitMarked(mark, grace.C) // the shell's children have their grace too
	case <-grace.C:
	}
	killGroup(pid)
	killMarked(map[string]bool{mark: true})
	return true
}

// awaitMarked waits until no process of the run is left, or until enough.
func awaitMarked(mark string, enough <-chan time.Time) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for anyMarked(map[string]bool{mark: true}) {
		select {
		case <-again.C:
		case <-enough:
			return
		}
	}
}
