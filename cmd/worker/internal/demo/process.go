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

// workerProcess is a worker process.
type workerProcess struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}
	err   error // of how it ended, once that is closed
}

// startProcess starts a process that calls Work. What the terminal sends to this process
// is not for it.
func startProcess(command []string, line []byte, log *os.File) (*workerProcess, error) {
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
	p := &workerProcess{cmd: cmd, in: in, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	if _, err := in.Write(line); err != nil {
		p.killNow()
		return nil, fmt.Errorf("tell worker process %d what to do: %w", p.processID(), err)
	}
	return p, nil
}

func (p *workerProcess) processID() int { return p.cmd.Process.Pid }

// killNow leaves the process no time for anything, and returns when it is gone.
func (p *workerProcess) killNow() processKill {
	k := processKill{pid: p.processID(), sent: time.Now()}
	_ = p.cmd.Process.Kill() // it has ended already otherwise
	<-p.ended
	k.gone = time.Now()
	return k
}

// drainAndWait lets the process drain.
func (p *workerProcess) drainAndWait(ctx context.Context) error {
	_, _ = io.WriteString(p.in, endLine+"\n") // its exit shows whether it was read
	select {
	case <-p.ended:
		return p.checkEnded()
	case <-ctx.Done():
		p.killNow()
		return fmt.Errorf("worker process %d does not end: %w", p.processID(), context.Cause(ctx))
	}
}

// checkEnded tells how the process ended, if it did.
func (p *workerProcess) checkEnded() error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("worker process %d has ended by itself: %w", p.processID(), p.err)
		}
	default:
	}
	return nil
}
