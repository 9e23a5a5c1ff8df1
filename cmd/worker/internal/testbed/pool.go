package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// Pool are worker processes. It is for one goroutine.
type Pool struct {
	// Command is the program, and its arguments, that comes to call ReadAssignment with its
	// standard input.
	Command []string
	// Log gets their standard output and error.
	Log *os.File
	// Output gets their standard output instead. Nil: Log does.
	Output *os.File
	// Kills are those of Replace.
	Kills []journal.Kill

	processes []*Process
}

// Start starts one more process with an assignment, which becomes a line of JSON.
func (c *Pool) Start(assignment Assignment) (*Process, error) {
	p, err := startProcess(c.Command, assignment, cmp.Or(c.Output, c.Log), c.Log)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// Begin has all processes begin that called ReadAssignmentAndWait.
func (c *Pool) Begin() error {
	var errs []error
	for _, p := range c.processes {
		if _, err := io.WriteString(p.in, beginLine+"\n"); err != nil {
			errs = append(errs, errors.Join(fmt.Errorf("have worker process %d begin: %w", p.PID(), err), p.CheckEnded()))
		}
	}
	return errors.Join(errs...)
}

// Replace kills a process, and starts another one in its place.
func (c *Pool) Replace(victim *Process, assignment Assignment) (*Process, error) {
	c.Kills = append(c.Kills, victim.Kill())
	c.Remove(victim)
	return c.Start(assignment)
}

// Remove takes a process out of the pool. Its end is the caller's.
func (c *Pool) Remove(process *Process) {
	c.processes = slices.DeleteFunc(c.processes, func(p *Process) bool { return p == process })
}

// Processes are those that were started, and neither replaced nor ended.
func (c *Pool) Processes() []*Process { return slices.Clone(c.processes) }

// WithPIDs finds processes by their ids.
func (c *Pool) WithPIDs(pids map[int]bool) (ps []*Process) {
	for _, p := range c.processes {
		if pids[p.PID()] {
			ps = append(ps, p)
		}
	}
	return ps
}

// CheckAlive returns an error that names a process that has ended by itself.
func (c *Pool) CheckAlive() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			return errors.Join(fmt.Errorf("worker process %d has ended before it was told to", p.PID()), p.CheckEnded())
		default:
		}
	}
	return nil
}

// Drain has all processes drain, and waits until they have ended. One that takes longer than 20 s
// is killed, which is an error.
func (c *Pool) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, drainTimeout, errors.New("it does not drain"))
	defer cancel()
	errs := make([]error, len(c.processes))
	var all sync.WaitGroup
	for i, p := range c.processes {
		all.Go(func() { errs[i] = p.Drain(ctx) })
	}
	all.Wait()
	c.processes = nil
	return errors.Join(errs...)
}

// drainTimeout is longer than a process takes by its own limits.
const drainTimeout = 20 * time.Second

// KillAll ends those that are left. They are not among Kills.
func (c *Pool) KillAll() {
	for _, p := range c.processes {
		p.Kill()
	}
	c.processes = nil
}
