//go:build linux

package command

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func startProcess(t *testing.T, line string, grace time.Duration, env []string) *Process {
	t.Helper()
	r, _ := startRunner(t, &bytes.Buffer{}, grace)
	p, err := r.Start(line, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		<-p.Ended()
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func TestProcessIsTalkedTo(t *testing.T) {
	t.Parallel()
	p := startProcess(t, `cat; echo why >&2; exit 7`, time.Second, os.Environ())
	if _, err := p.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	p.CloseInput()
	if said, err := io.ReadAll(p); err != nil || string(said) != "one\ntwo\n" {
		t.Errorf("%q, %v", said, err)
	}
	<-p.Ended()
	if want := (Exit{Code: 7, How: "exit status 7", Tail: "why"}); p.Exit() != want {
		t.Errorf("%+v, want %+v", p.Exit(), want)
	}
}

func TestProcessTellsWhatItHasNotRead(t *testing.T) {
	t.Parallel()
	p := startProcess(t, `read -r line; exit 0`, time.Second, os.Environ())
	if _, err := p.Write([]byte("one\ntwo\nthree\n")); err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	if n := p.Unread(); n != len("two\nthree\n") {
		t.Errorf("%d bytes", n)
	}
}

// The reader gets all that was written before the process has ended, and does not wait for whom
// it left behind.
func TestOutputEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	p := startProcess(t, join+`setsid sh -c 'echo >&9; exec sleep 1000' & read -r line; head -c 50000 /dev/zero; exit 0`, time.Minute, f.env())
	f.ready(t)
	if _, err := p.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(p); err != nil || len(said) != 50000 {
		t.Errorf("%d bytes, %v", len(said), err)
	}
	f.gone(t) // what left the group as well
}

// A process that holds the pipes open, and carries no mark.
func TestOutputDoesNotWaitForStrangers(t *testing.T) {
	t.Parallel()
	p := startProcess(t, `exec 3<&0; setsid env -i sh -c 'echo $$; exec sleep 1000' <&3 & read -r line; exit 0`, time.Minute, os.Environ())
	out := bufio.NewReader(p)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() {
		t.Error("it is waited for")
		_ = syscall.Kill(stranger, syscall.SIGKILL)
	})
	defer func() { _ = syscall.Kill(stranger, syscall.SIGKILL) }()
	defer late.Stop()
	if _, err := p.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(out); err != nil || len(said) > 0 {
		t.Errorf("%q, %v", said, err)
	}
	<-p.Ended()
	if _, err := p.Write(make([]byte, 1<<20)); err == nil {
		t.Error("1 MiB was written to a process that has ended")
	}
}

func TestWriteEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	p := startProcess(t, `exec sleep 1000`, time.Minute, os.Environ())
	wrote := make(chan int)
	go func() {
		n, err := p.Write(make([]byte, 1<<20))
		if err == nil {
			t.Error("1 MiB was written to a process that reads nothing")
		}
		wrote <- n
	}()
	p.Stop()
	if n := <-wrote; n != p.Unread() {
		t.Errorf("%d bytes went into the pipe, %d are there", n, p.Unread())
	}
}

func TestStopGivesGrace(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`trap 'echo saved >&2; exit 0' TERM; echo ready; while :; do sleep 0.01; done`: "saved",
		`trap 'echo told >&2' TERM; echo ready; while :; do sleep 0.01; done`:          "told",
	} {
		p := startProcess(t, line, 300*time.Millisecond, os.Environ())
		if _, err := p.Read(make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		p.Stop()
		p.Stop()
		<-p.Ended()
		if exit := p.Exit(); !exit.Stopped || !strings.Contains(exit.Tail, want) {
			t.Errorf("%+v, want %s", exit, want)
		}
	}
}

func TestNoProcessWithoutItsGuard(t *testing.T) {
	t.Parallel()
	r, g, err := newRunner(&bytes.Buffer{}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-g.Ended()
	if _, err := r.Start(`exit 0`, os.Environ()); !errors.Is(err, ErrUnguarded) {
		t.Errorf("%v, want %v", err, ErrUnguarded)
	}
	_ = g.Close() // it was killed
}
