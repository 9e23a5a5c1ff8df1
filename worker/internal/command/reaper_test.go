//go:build linux

package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// leaveOrphans runs commands that leave processes behind, and ends once none of those is a zombie.
func leaveOrphans() {
	reaper, err := StartReaper(slog.Default())
	fail(err)
	g, err := StartGuard(os.Args[0], []string{"guard"}, os.Stderr, reaper)
	fail(err)
	r, err := NewRunner(g, Options{Stdout: os.Stdout, Stderr: os.Stderr, Grace: time.Second})
	fail(err)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 10 {
				exit, err := r.Run(context.Background(), `sleep 1000 & setsid true & exit 7`, os.Environ(), nil)
				if err != nil || exit.Code != 7 {
					fail(fmt.Errorf("%+v, %w", exit, err))
				}
			}
		})
	}
	running.Wait()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // the kernel tells nobody that they are gone
		left, err := zombies()
		fail(err)
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			fail(fmt.Errorf("%d zombies are left", left))
		}
	}
	fail(errors.Join(g.Close(), reaper.Close()))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// zombies are children that have ended and were not waited for.
func zombies() (n int, err error) {
	pids, err := childrenOfProcess()
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && strings.Contains(string(stat), ") Z ") {
			n++
		}
	}
	return n, err
}

// Where nobody else waits for what commands leave behind the table of processes would fill until
// nothing can be started. What the commands themselves exit with is not taken from them.
func TestOrphansOfCommandsLeaveNoZombies(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command(os.Args[0], "reap").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Where there are no pidfds a run takes no thread either, of which a Go program may have 10,000.
func TestExitIsSeenWithoutPidfds(t *testing.T) {
	var running sync.WaitGroup
	for range 20 {
		cmd := exec.Command(Shell, "-c", "read -r line")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			awaitExitBySignal(cmd.Process.Pid)
			if !hasExited(cmd.Process.Pid) {
				t.Error("it has not ended")
			}
			_ = cmd.Wait() // it has ended
		})
		running.Go(func() { _ = in.Close() })
	}
	running.Wait()
}
