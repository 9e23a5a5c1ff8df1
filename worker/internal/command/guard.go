//go:build linux

package command

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// ErrUnguarded is returned when the guard has ended: nothing would end a command if this
// process died.
var ErrUnguarded = errors.New("the guard of the commands has ended, which would end them should this process die")

// Guard is the process that outlives this one, for as long as it takes to end its commands. Its
// methods are safe for concurrent use.
type Guard struct {
	cmd    *exec.Cmd
	pipe   io.WriteCloser
	reaper *Reaper
	name   string
	runs   atomic.Uint64
	ended  chan struct{}
	err    error // once ended is closed: nil if it ended because it was told to

	starts  chan func()   // what is to be done by the thread that starts commands
	closed  chan struct{} // nothing is started any more
	closing sync.Once
	thread  sync.WaitGroup
}

// StartGuard starts the guard: the program and its arguments must come to call KeepProcess with
// their standard input. It ends with Close. With a reaper, nil if there is none, the orphans of its
// commands are waited for.
func StartGuard(program string, args []string, stderr io.Writer, reaper *Reaper) (*Guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the guard of the commands: %w", err)
	}
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // this program itself; it ends with the pipe
	cmd.Stdin, cmd.Stderr = r, stderr
	cmd.SysProcAttr = ownSession()
	err = reaper.startProcess(cmd)
	_ = r.Close() // the guard's now
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the guard of the commands: %w", err), w.Close())
	}
	g := &Guard{
		cmd: cmd, pipe: w, reaper: reaper, name: rand.Text(), ended: make(chan struct{}), starts: make(chan func()), closed: make(chan struct{}),
	}
	g.thread.Go(g.startOnOneThread)
	go func() {
		defer close(g.ended)
		if err := reaper.waitProcess(cmd); err != nil {
			g.err = fmt.Errorf("%w: %w", ErrUnguarded, err)
		}
	}()
	return g, nil
}

// startOnOneThread starts commands. The kernel kills a command when the thread that started it
// ends, should the guard be dead as well: this one ends with the Guard. One for all of them leaves
// the number of runs to the machine, and not to how many threads a Go program may have.
func (g *Guard) startOnOneThread() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	for {
		select {
		case start := <-g.starts:
			start()
		case <-g.closed:
			return
		}
	}
}

// startOnThread starts the process of a run, which is waited for by wait.
func (g *Guard) startOnThread(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	select {
	case g.starts <- func() { started <- g.reaper.startProcess(cmd) }:
		return <-started
	case <-g.closed:
		return ErrUnguarded
	}
}

func (g *Guard) waitFor(cmd *exec.Cmd) error { return g.reaper.waitProcess(cmd) }

// Ended is closed when the guard has ended.
func (g *Guard) Ended() <-chan struct{} { return g.ended }

// Err is ErrUnguarded and how the guard ended, once it has.
func (g *Guard) Err() error {
	select {
	case <-g.ended:
		return cmp.Or(g.err, ErrUnguarded)
	default:
		return nil
	}
}

// Close ends the guard, and with it what is left of the runs, and waits for it. Of a guard that had
// ended by itself it returns what Err does.
func (g *Guard) Close() error {
	g.closing.Do(func() { close(g.closed) })
	g.thread.Wait()
	err := g.pipe.Close()
	<-g.ended
	switch {
	case g.err != nil:
		return g.err
	case err == nil, errors.Is(err, os.ErrClosed):
		return nil
	}
	return fmt.Errorf("close the guard of the commands: %w", err)
}

// guardedRun is a run that the guard knows of.
type guardedRun struct {
	guard *Guard
	mark  string
	once  sync.Once
}

// openRun makes a run known before it begins.
func (g *Guard) openRun() (*guardedRun, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	r := &guardedRun{guard: g, mark: g.name + "." + strconv.FormatUint(g.runs.Add(1), 10)}
	if err := g.writeLine("open", r.mark); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnguarded, err)
	}
	return r, nil
}

// registerGroup tells the guard the run's process group. Once it has returned without an error the
// guard knows the group, whatever becomes of this process: what was written to a pipe is read
// before its end.
func (r *guardedRun) registerGroup(group int) error {
	if err := r.guard.writeLine("group", r.mark, strconv.Itoa(group)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnguarded, err)
	}
	return nil
}

func (r *guardedRun) closeRun() { r.once.Do(func() { _ = r.guard.writeLine("done", r.mark) }) }

// writeLine writes a line in one write, short enough to be atomic.
func (g *Guard) writeLine(words ...string) error {
	line := make([]byte, 0, 80)
	for _, w := range words {
		line = append(append(line, w...), ' ')
	}
	line[len(line)-1] = '\n'
	_, err := g.pipe.Write(line)
	return err
}
