package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/mongotest"
)

// family is a demo with its processes: all have the writing end of a pipe.
type family struct {
	*process

	alive *os.File
	tmp   string
}

// demo starts one that takes long.
func (h *house) demo() *family {
	h.t.Helper()
	alive, held, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	f := &family{process: &process{t: h.t, stderr: h.path("stderr"), ended: make(chan struct{})}, alive: alive, tmp: h.path("tmp")}
	stderr, err := os.Create(f.stderr)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.Mkdir(f.tmp, 0o700); err != nil {
		h.t.Fatal(err)
	}
	f.cmd = osexec.Command("worker", "demo", "--events", "20000", "--kills", "20")
	f.cmd.Env, f.cmd.Stderr, f.cmd.ExtraFiles = slices.Concat(h.env, []string{"TMPDIR=" + f.tmp}), stderr, []*os.File{held}
	if err := f.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	_, _ = held.Close(), stderr.Close()
	go func() {
		defer close(f.ended)
		_ = f.cmd.Wait() // how it ended is asked for later
	}()
	h.t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		<-f.ended
		_ = alive.Close()
	})
	return f
}

// dies checks that no process is left.
func (f *family) dies() {
	f.t.Helper()
	if err := f.alive.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		f.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, f.alive); err != nil { // it ends when the last process has
		f.t.Errorf("a process lives on: %v", err)
	}
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			f := newHouse(t).demo()
			f.says("demo: killed worker process")
			f.signal(s)
			f.exits(1)
			f.says("worker: interrupted")
			f.dies()
			if left, err := os.ReadDir(f.tmp); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestKilledDemoLeavesNoProcess(t *testing.T) {
	t.Parallel()
	f := newHouse(t).demo()
	f.says("demo: killed worker process")
	f.kill()
	f.dies()
}

func TestDemoKeepsThePromise(t *testing.T) {
	t.Parallel()
	for _, flags := range []string{"--store kv", "--store mongo", "--store mongo --atomic"} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			store, atomic := strings.Fields(flags)[1], strings.Contains(flags, "atomic")
			cmd := osexec.CommandContext(t.Context(), "worker", append([]string{"demo", "--kills", "5", "--events", "3000", "-o", "json"}, strings.Fields(flags)...)...)
			cmd.Env = newHouse(t).env
			if store == "mongo" {
				cmd.Env = append(cmd.Env, "MONGODB_URI="+mongotest.URI(t))
			}
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v:\n%s\n%s", err, out, &said)
			}
			var got map[string]any
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			made, told := got["atomic"].(bool)
			if made != atomic || told != atomic {
				t.Errorf("%s", out)
			}
			delete(got, "atomic")
			if atomic {
				delete(got, "found_made") // there are such runs nearly always
			}
			keys := []string{
				"deliveries", "duplicates", "effects", "events_per_second", "failures", "kills", "lost", "most_per_kill", "published", "repeated",
				"repeated_unexplained", "seconds", "unique",
			}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), keys) {
				t.Errorf("%s", out)
			}
			repeated, _ := got["repeated"].(float64)
			if got["kills"] != 5.0 || got["lost"] != 0.0 || got["repeated_unexplained"] != 0.0 || got["unique"] != 3000.0 || got["effects"] != 3000+repeated {
				t.Errorf("%s", out)
			}
			if atomic && repeated > 0 {
				t.Errorf("%s", out)
			}
		})
	}
}

// What the demo says to try next works as it stands.
func TestDemoCommandsWork(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	shell := func(line string) string {
		cmd := osexec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = h.dir, h.env
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return string(out)
	}
	said := shell("worker demo --events 100 --kills 0 --quiet")
	_, next, _ := strings.Cut(said, "Try next:\n")
	lines := strings.Split(strings.TrimSpace(next), "\n")
	if len(lines) != 3 {
		t.Fatal(said)
	}
	shell(lines[1])
	charged := strings.Split(strings.TrimSpace(shell(lines[2])), "\n")
	slices.Sort(charged)
	if !slices.Equal(charged, []string{"charging for order 1", "charging for order 2"}) {
		t.Errorf("%q", charged)
	}
	if out := shell(strings.Replace(lines[0], "mongodb://localhost:27017", "'"+mongotest.URI(t)+"'", 1)); !strings.Contains(out, "Nothing lost") {
		t.Error(out)
	}
}
