package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// crew are the worker processes.
type crew struct {
	command []string
	line    []byte
	log     *os.File

	processes []*process
	kills     []kill
}

// start starts one more.
func (c *crew) start() (*process, error) {
	p, err := startProcess(c.command, c.line, c.log)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// replace kills a process, and starts another one in its place.
func (c *crew) replace(victim *process) (*process, error) {
	c.kills = append(c.kills, victim.kill())
	c.processes = slices.DeleteFunc(c.processes, func(p *process) bool { return p == victim })
	return c.start()
}

// at finds processes by their ids.
func (c *crew) at(pids map[int]bool) (ps []*process) {
	for _, p := range c.processes {
		if pids[p.pid()] {
			ps = append(ps, p)
		}
	}
	return ps
}

// check tells which process has ended without having been killed.
func (c *crew) check() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			return errors.Join(fmt.Errorf("worker process %d has ended before it was told to", p.pid()), p.check())
		default:
		}
	}
	return nil
}

// finish lets all drain.
func (c *crew) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, drainIn, errors.New("it does not drain"))
	defer cancel()
	errs := make([]error, len(c.processes))
	var all sync.WaitGroup
	for i, p := range c.processes {
		all.Go(func() { errs[i] = p.finish(ctx) })
	}
	all.Wait()
	c.processes = nil
	return errors.Join(errs...)
}

// drainIn is longer than a process takes by its own limits.
const drainIn = 20 * time.Second

// kill ends those that are left, which no longer count.
func (c *crew) kill() {
	for _, p := range c.processes {
		p.kill()
	}
	c.processes = nil
}
