//go:build linux

package command

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A process that is killed while it starts a command leaves nothing of it, wherever it was: the
// line has not begun before the guard knows its process group. The command drops its mark, so that
// its group is all that it is known by.
func TestNothingRunsBeforeTheGuardKnows(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			f := newFamily(t)
			victim := exec.Command(os.Args[0], "stop-before", when, join+`env -i /bin/sh -c 'echo >&9; sleep 1000; :' & wait`)
			victim.Env = f.env()
			out, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			group, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			if f.begunOrWaiting(t, group) {
				t.Error("the command has begun")
			}
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = victim.Wait() // killed
			f.gone(t)
			until(t, "the shell lives on", func() bool { return state(group) == "" })
		})
	}
}

// begunOrWaiting waits until the command has written its line, or until its shell has no children
// and waits for something.
func (f *family) begunOrWaiting(t *testing.T, shell int) (begun bool) {
	t.Helper()
	until(t, "the command neither begins nor waits", func() bool {
		var b [1]byte
		_ = f.r.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, _ := f.r.Read(b[:])
		begun = n == 1
		return begun || state(shell) == "S" && children(shell) == ""
	})
	return begun
}

func until(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) { // /proc has no signal
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// state of a process, as in ps; empty if it has ended.
func state(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	words := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if words[0] == "Z" || words[0] == "X" {
		return ""
	}
	return words[0]
}

func children(pid int) string {
	p := strconv.Itoa(pid)
	list, _ := os.ReadFile("/proc/" + p + "/task/" + p + "/children") // or it has ended
	return strings.TrimSpace(string(list))
}

// failing is a pipe to a guard that is told of no process group.
type failing struct{ io.WriteCloser }

func (f failing) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("group ")) {
		return 0, errors.New("broken pipe")
	}
	return f.WriteCloser.Write(p)
}

func TestNothingRunsWhenTheGuardCannotBeTold(t *testing.T) {
	t.Parallel()
	r, g := startRunner(t, &bytes.Buffer{}, time.Second)
	g.pipe = failing{g.pipe}
	effect := t.TempDir() + "/effect"
	if exit, err := r.Run(t.Context(), "echo >"+effect, os.Environ(), nil); !errors.Is(err, ErrUnguarded) {
		t.Errorf("%+v, %v: want %v", exit, err, ErrUnguarded)
	}
	if _, err := r.Start("echo >"+effect, os.Environ()); !errors.Is(err, ErrUnguarded) {
		t.Errorf("%v: want %v", err, ErrUnguarded)
	}
	if _, err := os.Stat(effect); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the command has run: %v", err)
	}
}

// The gate leaves no trace in the command: no file, no variable, the line and its name as they are.
func TestCommandDoesNotSeeHowItWasStarted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r, _ := startRunner(t, &out, time.Second)
	line := `echo "$0 $#"; ls /proc/$$/fd; env | grep -c GATE; { no-such; } 2>&1`
	if _, err := r.Run(t.Context(), line, os.Environ(), nil); err != nil {
		t.Fatal(err)
	}
	want := exec.Command(Shell, "-c", line)
	want.Stdin = strings.NewReader("")
	plain, err := want.Output()
	if err == nil || string(plain) != out.String() { // the last command fails
		t.Errorf("%q, want what a plain shell says: %q", &out, plain)
	}
}
