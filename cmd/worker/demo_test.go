package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/mongotest"
)

// family is a command with its processes: all have the writing end of a pipe.
type family struct {
	*process

	alive *os.File
	tmp   string
}

// longDemo are the flags of a demo that takes long.
const longDemo = "--events 20000 --kills 20"

// demo starts one.
func (h *house) demo(flags string) *family {
	h.t.Helper()
	return h.family("demo", flags)
}

// family starts a command that has processes.
func (h *house) family(command, flags string) *family {
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
	f.cmd = osexec.Command("worker", append([]string{command}, strings.Fields(flags)...)...)
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
			f := newHouse(t).demo(longDemo)
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
	f := newHouse(t).demo(longDemo)
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

// pauseArguments are those of the pause that the demo tells of, from the flags on.
func (f *family) pauseArguments() []string {
	f.t.Helper()
	const before, command = "demo: to pause all workers, from another terminal: ", "worker pause "
	f.says(before)
	log, err := os.ReadFile(f.stderr)
	if err != nil {
		f.t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(log), before)
	line, _, _ = strings.Cut(line, "\n")
	arguments, ok := strings.CutPrefix(line, command)
	if !ok {
		f.t.Fatalf("it says %q", log)
	}
	return strings.Fields(arguments)
}

// effects is how many bytes its handlers have written.
func (f *family) effects() int64 {
	f.t.Helper()
	journals, err := filepath.Glob(filepath.Join(f.tmp, "*", "journal"))
	if err != nil || len(journals) != 1 {
		f.t.Fatalf("journals: %q, %v", journals, err)
	}
	info, err := os.Stat(journals[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return info.Size()
}

// TestPauseStopsEveryProcessOfADemo, which goes on when it is resumed, and loses nothing.
func TestPauseStopsEveryProcessOfADemo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	f := h.demo("--events 6000 --kills 0 --processes 3")
	arguments := f.pauseArguments()
	f.works()
	h.awaitMembers(3, arguments...)
	h.output(0, append([]string{"pause", "--reason", "to look"}, arguments...)...)
	for running := true; running; { // what had begun finishes
		status := h.output(0, append([]string{"status", "-o", "json"}, arguments...)...)
		var got struct {
			Members []struct {
				Subscriptions []struct {
					State    string `json:"state"`
					Why      string `json:"why"`
					InFlight int    `json:"in_flight"`
				} `json:"subscriptions"`
			} `json:"members"`
		}
		if err := json.Unmarshal([]byte(status), &got); err != nil || len(got.Members) != 3 {
			t.Fatalf("%s: %v", status, err)
		}
		running = false
		for _, m := range got.Members {
			if len(m.Subscriptions) != 1 || m.Subscriptions[0].State != "paused" || !strings.HasPrefix(m.Subscriptions[0].Why, "to look, by ") {
				t.Fatal(status)
			}
			running = running || m.Subscriptions[0].InFlight > 0
		}
	}
	paused := f.effects()
	time.Sleep(time.Second) // time enough for some hundred effects
	if now := f.effects(); now != paused {
		t.Errorf("%d bytes of effects while it is paused", now-paused)
	}
	h.output(0, append([]string{"resume"}, arguments...)...)
	f.exits(0) // nothing is lost
	f.dies()
}

// works waits until there are effects, for which there is no signal.
func (f *family) works() {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); f.effects() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatal("there are no effects")
		}
	}
}

// awaitMembers waits until a group has so many members that run, for which there is no signal.
func (h *house) awaitMembers(want int, arguments ...string) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		cmd := osexec.CommandContext(h.t.Context(), "worker", append([]string{"members", "-o", "json"}, arguments...)...)
		cmd.Dir, cmd.Env = h.dir, h.env
		out, err := cmd.Output() // it fails while there is no such group
		if err == nil && strings.Count(string(out), `"state":"running"`) >= want {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("there are no %d members: %v\n%s", want, err, out)
		}
	}
}

// TestPausedDemoLeavesNoPause: the next one on the same server does not stand still.
func TestPausedDemoLeavesNoPause(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.start("serve")
	url := h.wait("data/nats.url")
	f := h.demo("--events 20000 --kills 0 --nats " + url)
	arguments := f.pauseArguments()
	hidden := "nats://***@" + url[strings.LastIndex(url, "@")+1:]
	if len(arguments) != 3 || arguments[0] != "--nats" || arguments[1] != hidden {
		t.Fatalf("%q, want %q", arguments, hidden)
	}
	h.awaitMembers(3, "--nats", url, arguments[2])
	h.output(0, "pause", "--nats", url, arguments[2])
	f.signal(syscall.SIGINT)
	f.exits(1)
	f.dies()
	h.output(1, "status", "--nats", url, arguments[2])
	h.output(0, "demo", "--events", "200", "--kills", "0", "--nats", url)
}

// output returns what a command that exits with the status writes to standard output.
func (h *house) output(status int, args ...string) string {
	h.t.Helper()
	cmd := osexec.CommandContext(h.t.Context(), "worker", args...)
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = h.dir, h.env, &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		h.t.Fatalf("worker %q: %v, want exit status %d:\n%s\n%s", args, err, status, out, &stderr)
	}
	return string(out)
}
