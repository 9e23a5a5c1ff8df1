package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// Process is a worker process that this one has started.
type Process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}
	err   error // of how it ended, once that is closed
}

// startProcess starts a process that calls ReadAssignment. What the terminal sends to this process
// does not reach it.
func startProcess(command []string, assignment Assignment, stdout io.Writer, log *os.File) (*Process, error) {
	line, err := json.Marshal(assignment)
	if err != nil {
		return nil, fmt.Errorf("start a worker process: %w", err)
	}
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // this program itself; it ends with its input
	cmd.Stdout, cmd.Stderr = stdout, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a worker process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start a worker process: %w", err), in.Close())
	}
	p := &Process{cmd: cmd, in: in, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	if _, err := in.Write(append(line, '\n')); err != nil {
		p.Kill()
		return nil, fmt.Errorf("write the assignment of worker process %d: %w", p.PID(), err)
	}
	return p, nil
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process by SIGKILL, and returns when it is gone.
func (p *Process) Kill() journal.Kill {
	k := journal.Kill{PID: p.PID(), Sent: time.Now()}
	_ = p.cmd.Process.Kill() // it has ended already otherwise
	<-p.ended
	k.Gone = time.Now()
	return k
}

// Freeze stops the process as if its machine stood still, until Thaw or Kill.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to worker process %d: %w", s, p.PID(), err)
	}
	return nil
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Drain has the process drain, and waits for its end. The error is how it ended, if not in order.
// When ctx ends before, the process is killed, which is an error as well.
func (p *Process) Drain(ctx context.Context) error {
	_, _ = io.WriteString(p.in, endLine+"\n") // its exit shows whether it was read
	select {
	case <-p.ended:
		return p.CheckEnded()
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("worker process %d does not end: %w", p.PID(), context.Cause(ctx))
	}
}

// CheckEnded returns how the process ended, if it did, and not in order.
func (p *Process) CheckEnded() error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("worker process %d has ended by itself: %w", p.PID(), p.err)
		}
	default:
	}
	return nil
}
