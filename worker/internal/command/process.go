//go:build linux

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Process is a command that runs on, and is talked to. Its methods are safe for concurrent use, but
// for Read and Write, which are each for one goroutine at a time.
type Process struct {
	cmd        *exec.Cmd
	run        *guardedRun
	stdin      *os.File
	stdout     processOutput
	stderr     processOutput
	log        *lineBuffer
	last       tailBuffer
	context    context.Context //nolint:containedctx // of the process: ends when it is told to end
	stop       context.CancelFunc
	ended      chan struct{}
	exit       Exit // once ended is closed
	closeInput sync.Once
}

// Start starts the line with the environment, which it adds its mark to. The process ends by
// itself, by Stop, or with the guard's process. What it started ends with it, also what has left
// its process group. The caller reads until the end, waits for Ended, and then calls Close.
func (r *Runner) Start(line string, env []string) (*Process, error) {
	p := &Process{log: r.stderr.newLineBuffer(), ended: make(chan struct{})}
	p.context, p.stop = context.WithCancel(context.Background())
	started := make(chan error)
	go p.superviseProcess(r, line, env, started)
	if err := <-started; err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// superviseProcess is the process's goroutine, from its start to its end.
func (p *Process) superviseProcess(r *Runner, line string, env []string, started chan<- error) {
	if err := p.startProcess(r, line, env); err != nil {
		started <- err
		return
	}
	started <- nil
	defer close(p.ended)
	var passing sync.WaitGroup
	passing.Go(p.copyStderr)
	stopped := r.watchProcess(p.context, p.cmd.Process.Pid, p.run.mark)
	killGroup(p.cmd.Process.Pid)
	killMarked(map[string]bool{p.run.mark: true})
	p.run.closeRun()
	p.stdout.endReading()
	p.stderr.endReading()
	_ = p.stdin.SetWriteDeadline(time.Unix(1, 0)) // nobody reads any more
	passing.Wait()
	_ = r.guard.waitFor(p.cmd) // its state says how it ended
	p.exit = Exit{Code: p.cmd.ProcessState.ExitCode(), How: p.cmd.ProcessState.String(), Stopped: stopped, Tail: p.last.String()}
}

func (p *Process) startProcess(r *Runner, line string, env []string) (err error) {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close() // the process has its own
		}
		if err != nil {
			err = errors.Join(err, p.closePipes())
		}
	}()
	for _, end := range []struct {
		ours  **os.File
		reads bool
	}{{&p.stdin, false}, {&p.stdout.r, true}, {&p.stderr.r, true}} {
		reader, writer, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("start %s: %w", Shell, err)
		}
		if !end.reads {
			reader, writer = writer, reader
		}
		*end.ours, theirs = reader, append(theirs, writer)
	}
	if p.run, err = r.guard.openRun(); err != nil {
		return err
	}
	p.cmd = shellCommand(line, env, p.run)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	if err := startGuarded(p.cmd, p.run); err != nil {
		p.run.closeRun()
		return err
	}
	return nil
}

// copyStderr reads standard error to its end.
func (p *Process) copyStderr() {
	_, _ = io.Copy(io.MultiWriter(&p.last, p.log), &p.stderr) // neither of them fails
	_ = p.log.flushRest()                                     // there is nobody to tell
}

// Read reads what the process writes to its standard output. The output ends with the process.
func (p *Process) Read(b []byte) (int, error) { return p.stdout.Read(b) }

// Write writes to the process's standard input, and waits for it to be read when the pipe is full.
// It fails once the process has ended or the input was closed; n is then what went into the pipe.
func (p *Process) Write(b []byte) (n int, err error) { return p.stdin.Write(b) }

// CloseInput ends the process's standard input.
func (p *Process) CloseInput() { p.closeInput.Do(func() { _ = p.stdin.Close() }) }

// Stop tells the process to end, and has it killed after the grace. It does not wait. Repeated
// calls do nothing.
func (p *Process) Stop() { p.stop() }

// Ended is closed once the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Exit is how the process ended, once it has.
func (p *Process) Exit() Exit { return p.exit }

// Unread is how many of the bytes that were written to the process it has never read. It is exact
// once the process has ended and Write has returned, and 0 once the input is closed.
func (p *Process) Unread() int { return unreadBytes(p.stdin) }

// Close is called when the process has ended and its output was read.
func (p *Process) Close() error {
	p.stop()
	return p.closePipes()
}

func (p *Process) closePipes() error {
	p.CloseInput()
	return errors.Join(p.stdout.r.Close(), p.stderr.r.Close())
}
