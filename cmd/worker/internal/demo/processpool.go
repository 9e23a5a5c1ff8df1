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

// processPool are the worker processes.
type processPool struct {
	command []string
	line    []byte
	log     *os.File

	processes []*workerProcess
	kills     []processKill
}

// startOne starts one more.
func (c *processPool) startOne() (*workerProcess, error) {
	p, err := startProcess(c.command, c.line, c.log)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// replaceKilled kills a process, and starts another one in its place.
func (c *processPool) replaceKilled(victim *workerProcess) (*workerProcess, error) {
	c.kills = append(c.kills, victim.killNow())
	c.processes = slices.DeleteFunc(c.processes, func(p *workerProcess) bool { return p == victim })
	return c.startOne()
}

// withIDs finds processes by their ids.
func (c *processPool) withIDs(pids map[int]bool) (ps []*workerProcess) {
	for _, p := range c.processes {
		if pids[p.processID()] {
			ps = append(ps, p)
		}
	}
	return ps
}

// checkAlive tells which process has ended without having been killed.
func (c *processPool) checkAlive() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			return errors.Join(fmt.Errorf("worker process %d has ended before it was told to", p.processID()), p.checkEnded())
		default:
		}
	}
	return nil
}

// finishAll lets all drain.
func (c *processPool) finishAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, drainTimeout, errors.New("it does not drain"))
	defer cancel()
	errs := make([]error, len(c.processes))
	var all sync.WaitGroup
	for i, p := range c.processes {
		all.Go(func() { errs[i] = p.drainAndWait(ctx) })
	}
	all.Wait()
	c.processes = nil
	return errors.Join(errs...)
}

// drainTimeout is longer than a process takes by its own limits.
const drainTimeout = 20 * time.Second

// killAll ends those that are left, which no longer count.
func (c *processPool) killAll() {
	for _, p := range c.processes {
		p.killNow()
	}
	c.processes = nil
}
