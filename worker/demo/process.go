package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a worker process.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}
	err   error // of how it ended, once that is closed
}

// startProcess starts a process that calls Work. What the terminal sends to this process
// is not for it.
func startProcess(command []string, line []byte, log *os.File) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // this program itself; it ends with its input
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a worker process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start a worker process: %w", err), in.Close())
	}
	p := &process{cmd: cmd, in: in, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	if _, err := in.Write(line); err != nil {
		p.kill()
		return nil, fmt.Errorf("tell worker process %d what to do: %w", p.pid(), err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill leaves the process no time for anything, and returns when it is gone.
func (p *process) kill() kill {
	k := kill{pid: p.pid(), sent: time.Now()}
	_ = p.cmd.Process.Kill() // it has ended already otherwise
	<-p.ended
	k.gone = time.Now()
	return k
}

// finish lets the process drain.
func (p *process) finish(ctx context.Context) error {
	_, _ = io.WriteString(p.in, end+"\n") // how it ends tells whether it was read
	select {
	case <-p.ended:
		return p.check()
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("worker process %d does not end: %w", p.pid(), context.Cause(ctx))
	}
}

// check tells how the process ended, if it did.
func (p *process) check() error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("worker process %d has ended by itself: %w", p.pid(), p.err)
		}
	default:
	}
	return nil
}
