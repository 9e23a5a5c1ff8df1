//go:build linux

package command

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapInterval is the least time between two looks for orphans: under load each run ends some.
const reapInterval = time.Second

// Reaper waits for the orphans among this process's children: what commands have started and left
// behind. Nobody else does where this process is the first one of a container, and as zombies they
// would fill the table of processes until nothing can be started any more. The processes of guards
// and commands that are started with it are waited for by who started them. Its methods are safe
// for concurrent use; a nil Reaper does nothing.
type Reaper struct {
	log     *slog.Logger
	signals chan os.Signal
	closed  chan struct{}
	reaping sync.WaitGroup

	mu  sync.Mutex
	own map[int]bool // who started them waits for them
}

// StartReaper makes orphans of this process's descendants its children, wherever it runs, and waits
// for them until Close. This process must start others by guards and runners alone that have the
// Reaper: it could not tell them from orphans.
func StartReaper(log *slog.Logger) (*Reaper, error) {
	if _, err := childrenOfProcess(); err != nil {
		return nil, fmt.Errorf("look for orphans: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the parent of orphans: %w", err)
	}
	r := &Reaper{log: log, signals: make(chan os.Signal, 1), closed: make(chan struct{}), own: make(map[int]bool)}
	signal.Notify(r.signals, syscall.SIGCHLD)
	r.reaping.Go(r.reapUntilClosed)
	return r, nil
}

// Close ends the waiting. Orphans are then left to whoever outlives this process.
func (r *Reaper) Close() error {
	signal.Stop(r.signals)
	close(r.closed)
	r.reaping.Wait()
	return nil
}

func (r *Reaper) reapUntilClosed() {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-r.signals:
		case <-r.closed:
			return
		}
		select {
		case <-rest.C:
		case <-r.closed:
			return
		}
		r.reapOrphans()
		rest.Reset(reapInterval)
	}
}

// reapOrphans waits for the orphans that have ended. For each that ends later there is
// another signal.
func (r *Reaper) reapOrphans() {
	r.mu.Lock()
	defer r.mu.Unlock() // nothing is started meanwhile whose number is not known yet
	pids, err := childrenOfProcess()
	if err != nil {
		r.log.Warn("cannot look for orphans: they stay zombies", "error", err)
		return
	}
	for _, pid := range pids {
		if r.own[pid] {
			continue
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil && !errors.Is(err, unix.ECHILD) {
			r.log.Warn("cannot wait for an orphan", "pid", pid, "error", err)
		}
	}
}

// startProcess starts a process that its caller waits for by wait.
func (r *Reaper) startProcess(cmd *exec.Cmd) error {
	if r == nil {
		return cmd.Start()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.own[cmd.Process.Pid] = true
	return nil
}

// waitProcess waits for a process that start has started.
func (r *Reaper) waitProcess(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if r != nil {
		r.mu.Lock()
		delete(r.own, cmd.Process.Pid)
		r.mu.Unlock()
	}
	return err
}

// childrenOfProcess are this process's, by the kernel's lists for each of its threads.
func childrenOfProcess() (pids []int, err error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err == nil && len(lists) == 0 {
		err = errors.New("this kernel has no /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)")
	}
	for _, list := range lists {
		text, err := os.ReadFile(list) //nolint:gosec // of the kernel
		if err != nil {
			continue // the thread has ended, and its children have moved to another one
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids, err
}
