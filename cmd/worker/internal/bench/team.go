package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// team is the workers of a measurement. It is for one goroutine.
type team interface {
	// begin has the workers begin that are ready.
	begin() error
	// state is what they have reported.
	state() teamState
	// checkAlive returns why a worker has ended by itself.
	checkAlive() error
	// stop drains them, and returns what they have counted.
	stop(ctx context.Context) ([]*tally, error)
	// kill ends those that are left.
	kill()
}

// teamState sums up what workers have reported.
type teamState struct {
	ready, consuming int
	done, answers    int64
}

// statuses keep the latest status of each worker.
type statuses struct {
	mu   sync.Mutex
	last map[int]workerStatus
}

func (s *statuses) update(w workerStatus) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = make(map[int]workerStatus)
	}
	s.last[w.PID] = w
	return nil
}

func (s *statuses) state() (t teamState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.last {
		t.ready++
		if w.Phase == phaseConsuming {
			t.consuming++
		}
		t.done += w.Done
		t.answers += w.Answers
	}
	return t
}

// processTeam are worker processes.
type processTeam struct {
	statuses

	pool    *testbed.Pool
	out     *os.File // what they write to
	files   []string
	total   int // events
	reading sync.WaitGroup
	readErr error
}

// startProcesses starts worker processes, which write into dir.
func startProcesses(n int, pool *testbed.Pool, dir string, c *cell) (_ *processTeam, err error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t := &processTeam{pool: pool, out: out, total: c.total()}
	pool.Output = out
	t.reading.Go(func() {
		defer func() { _ = in.Close() }() // it was only read
		t.readErr = t.readStatuses(in)
	})
	for i := range n {
		file := filepath.Join(dir, strconv.Itoa(c.Number)+"-"+strconv.Itoa(i))
		t.files = append(t.files, file)
		if _, err := pool.Start(&workerAssignment{cell: *c, File: file}); err != nil {
			t.kill()
			return nil, err
		}
	}
	return t, nil
}

func (t *processTeam) readStatuses(in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var s workerStatus
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("a worker process has reported %q: %w", lines.Text(), err)
		}
		_ = t.update(s) // it never fails
	}
	return lines.Err()
}

func (t *processTeam) begin() error      { return t.pool.Begin() }
func (t *processTeam) checkAlive() error { return t.pool.CheckAlive() }

func (t *processTeam) stop(ctx context.Context) (counted []*tally, err error) {
	err = t.pool.Drain(ctx)
	err = errors.Join(err, t.closeOutput())
	for _, file := range t.files {
		if err != nil {
			return nil, err
		}
		var one *tally
		one, err = readTally(file, t.total)
		counted = append(counted, one)
		err = errors.Join(err, os.Remove(file))
	}
	return counted, err
}

// closeOutput waits until everything is read that the processes have written.
func (t *processTeam) closeOutput() error {
	if t.out == nil {
		return nil
	}
	err := t.out.Close()
	t.out = nil
	t.reading.Wait()
	return errors.Join(err, t.readErr)
}

func (t *processTeam) kill() {
	t.pool.KillAll()
	_ = t.closeOutput() // they were killed because of another error
}

// localTeam is a worker in this process.
type localTeam struct {
	statuses

	cancel context.CancelFunc
	start  chan struct{}
	ended  chan struct{}
	tally  *tally
	err    error // once ended is closed
}

func startLocal(ctx context.Context, c *cell, s *servers, log *slog.Logger) *localTeam {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &localTeam{cancel: cancel, start: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		t.tally, t.err = runWorker(ctx, c, s, t.start, t.update, log)
	}()
	return t
}

func (t *localTeam) begin() error {
	close(t.start)
	return nil
}

func (t *localTeam) checkAlive() error {
	select {
	case <-t.ended:
		return errors.Join(errors.New("the worker has ended before it was told to"), t.err)
	default:
		return nil
	}
}

func (t *localTeam) stop(context.Context) ([]*tally, error) {
	t.kill()
	if t.err != nil {
		return nil, t.err
	}
	return []*tally{t.tally}, nil
}

func (t *localTeam) kill() {
	t.cancel()
	<-t.ended
}
