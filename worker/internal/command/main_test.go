//go:build linux

package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain makes this program its own guard, and a process that can be killed while it
// runs a command.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "guard" {
		if err := KeepProcess(os.Stdin, os.Stderr); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "run" {
		runner, _, err := newRunner(io.Discard, time.Second)
		if err != nil {
			panic(err)
		}
		exit, err := runner.Run(context.Background(), os.Args[2], os.Environ(), nil)
		fmt.Println(exit, err)
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "start" {
		runner, _, err := newRunner(io.Discard, time.Second)
		if err != nil {
			panic(err)
		}
		p, err := runner.Start(os.Args[2], os.Environ())
		if err != nil {
			panic(err)
		}
		<-p.Ended()
		fmt.Println(p.Exit())
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == "reap" {
		leaveOrphans()
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "stop-before" {
		stopBefore(os.Args[2], os.Args[3])
	}
	goleak.VerifyTestMain(m)
}

// stopBefore runs a command, and stops for good before or after the guard is told its process
// group. It writes the group.
func stopBefore(when, line string) {
	runner, g, err := newRunner(io.Discard, time.Second)
	if err != nil {
		panic(err)
	}
	g.pipe = &stopping{WriteCloser: g.pipe, told: when == "after"}
	exit, err := runner.Run(context.Background(), line, os.Environ(), nil)
	panic(fmt.Sprint("it did not stop: ", exit, err))
}

// stopping is a pipe to the guard that stops at the line that tells a process group.
type stopping struct {
	io.WriteCloser

	told bool // the guard is told it before
}

func (s *stopping) Write(p []byte) (int, error) {
	words := strings.Fields(string(p))
	if words[0] != "group" {
		return s.WriteCloser.Write(p)
	}
	if s.told {
		if _, err := s.WriteCloser.Write(p); err != nil {
			panic(err)
		}
	}
	fmt.Println(words[2])
	select {}
}

func newRunner(out io.Writer, grace time.Duration) (*Runner, *Guard, error) {
	g, err := StartGuard(os.Args[0], []string{"guard"}, os.Stderr, nil)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewRunner(g, Options{Stdout: out, Stderr: out, Grace: grace})
	return r, g, err
}

func startRunner(t *testing.T, out *bytes.Buffer, grace time.Duration) (*Runner, *Guard) {
	t.Helper()
	r, g, err := newRunner(out, grace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("closing the guard: %v", err)
		}
	})
	return r, g
}

// family is a pipe that the processes of a command hold open: it ends when the last of them does.
type family struct {
	path string
	r    *os.File
}

func newFamily(t *testing.T) *family {
	t.Helper()
	path := filepath.Join(t.TempDir(), "family")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &family{path: path, r: os.NewFile(uintptr(fd), path)}
	t.Cleanup(func() { _ = f.r.Close() })
	return f
}

// env tells the shell where the pipe is. Commands begin with join.
func (f *family) env() []string { return append(os.Environ(), "FAMILY="+f.path) }

const join = `exec 9>"$FAMILY"; `

// ready waits until some process has written a line.
func (f *family) ready(t *testing.T) {
	t.Helper()
	f.deadline(t)
	for {
		var b [1]byte
		n, err := f.r.Read(b[:])
		if n == 1 && b[0] == '\n' {
			return
		}
		if err != nil && err != io.EOF {
			t.Fatalf("nobody is there: %v", err)
		}
		if n == 0 {
			time.Sleep(time.Millisecond) // nobody has opened the pipe yet, for which there is no signal
		}
	}
}

// gone waits until all processes have ended.
func (f *family) gone(t *testing.T) {
	t.Helper()
	f.deadline(t)
	if _, err := io.Copy(io.Discard, f.r); err != nil {
		t.Fatalf("some processes of the command are alive: %v", err)
	}
}

func (f *family) deadline(t *testing.T) {
	t.Helper()
	if err := f.r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}
