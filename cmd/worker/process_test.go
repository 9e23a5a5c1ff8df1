package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/mongotest"
)

// house is a directory where worker processes run.
type house struct {
	t   *testing.T
	dir string
	env []string

	stdout *os.File // of workers; nil: none
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, dir: dir}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MONGODB_URI=") && !strings.HasPrefix(v, "NATS_URL=") {
			h.env = append(h.env, v)
		}
	}
	h.env = append(h.env, "ONCEISH_DATA_DIR="+filepath.Join(dir, "data"), "GORACE=atexit_sleep_ms=0", "LC_ALL=C")
	return h
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// process is a worker process.
type process struct {
	t      *testing.T
	cmd    *osexec.Cmd
	stderr string
	ended  chan struct{}
}

// start starts a worker, which is killed when the test ends.
func (h *house) start(args ...string) *process {
	h.t.Helper()
	stderr, err := os.CreateTemp(h.dir, "stderr")
	if err != nil {
		h.t.Fatal(err)
	}
	p := &process{t: h.t, stderr: stderr.Name(), ended: make(chan struct{})}
	p.cmd = osexec.Command("worker", args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = h.dir, h.env, stderr
	if h.stdout != nil {
		p.cmd.Stdout = h.stdout
	}
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	_ = stderr.Close()
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is asked for later
	}()
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if h.t.Failed() {
			log, _ := os.ReadFile(p.stderr)
			h.t.Logf("worker %q:\n%s", args, log)
		}
	})
	return p
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill leaves the process no time for anything.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) exits(status int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(90 * time.Second):
		p.t.Fatalf("%q does not end", p.cmd.Args)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("%q: %v, want exit status %d", p.cmd.Args, p.cmd.ProcessState, status)
	}
}

// says waits until the process has said something, for which there is no signal.
func (p *process) says(what string) {
	p.t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if log, err := os.ReadFile(p.stderr); err == nil && bytes.Contains(log, []byte(what)) {
			return
		}
	}
	p.t.Fatalf("%q does not say %q", p.cmd.Args, what)
}

// publish stores a line.
func (h *house) publish(topic, line string) {
	h.t.Helper()
	cmd := osexec.Command("worker", "publish", topic)
	cmd.Dir, cmd.Env, cmd.Stdin = h.dir, h.env, strings.NewReader(line+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("publish: %v\n%s", err, out)
	}
}

// wait returns what a file has once it has something.
func (h *house) wait(name string) string {
	h.t.Helper()
	s, err := waitForFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

// lines tells what a file has now, sorted by when it was written.
func (h *house) lines(name string, want ...string) {
	h.t.Helper()
	data, err := os.ReadFile(h.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	if got := strings.Fields(string(data)); strings.Join(got, " ") != strings.Join(want, " ") {
		h.t.Errorf("%s: %q, want %q", name, got, want)
	}
}

// quick are the flags of a worker that is soon replaced.
func quick(command string, more ...string) []string {
	return append([]string{"run", "--topic", "t", "--group", "g", "--lease", "1s", "--ack-wait", "1s", "--backoff-base", "10ms", "--exec", command}, more...)
}

const event = `{"id":"1"}`

func TestFirstSignalLetsCommandsFinish(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.publish("t", event)
			fifo := h.path("go")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			w := h.start(quick(`echo up >started; read _ <go; echo $CE_ID >>effects`)...)
			h.wait("started")
			w.signal(s)
			w.says("shutting down")
			if err := os.WriteFile(fifo, []byte("\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w.exits(0)
			h.lines("effects", "1")
			h.start(quick(`echo $CE_ID >>effects`, "--until-empty")...).exits(0)
			h.lines("effects", "1")
		})
	}
}

func TestSecondSignalCutsShort(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event)
	w := h.start(quick(`echo $ATTEMPT >started; exec sleep 1000`)...)
	h.wait("started")
	w.signal(syscall.SIGTERM)
	w.says("shutting down")
	time.Sleep(500 * time.Millisecond) // what arrives sooner is the same wish
	w.signal(syscall.SIGINT)
	w.exits(3)
	// What was cut off comes again, and has used up no attempt.
	h.start(quick(`echo $ATTEMPT >>again`, "--until-empty")...).exits(0)
	h.lines("again", "1")
}

// timeout(1) signals its command, and then the group of processes that it is in.
func TestSignalThatArrivesTwiceLetsCommandsFinish(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event)
	fifo := h.path("go")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w := h.start(quick(`echo up >started; read _ <go; echo $CE_ID >>effects`)...)
	h.wait("started")
	w.signal(syscall.SIGTERM)
	w.signal(syscall.SIGTERM)
	w.says("shutting down")
	if err := os.WriteFile(fifo, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.exits(0)
	h.lines("effects", "1")
}

func TestDrainTimeoutIsIncomplete(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event)
	w := h.start(quick(`trap '' TERM; echo up >started; sleep 1000; sleep 1000`, "--drain", "500ms")...)
	h.wait("started")
	w.signal(syscall.SIGTERM)
	w.exits(3)
	h.start(quick(`echo $ATTEMPT >>again`, "--until-empty")...).exits(0)
	h.lines("again", "1")
}

// What a command exits with once it was stopped says nothing about its work.
func TestRunLimitStopsCommands(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event)
	w := h.start(quick(`echo $ATTEMPT >>attempts; test $ATTEMPT = 2 && exit; trap 'exit 0' TERM; while :; do sleep 0.01; done`, "--run-limit", "300ms", "--until-empty")...)
	w.exits(0)
	h.lines("attempts", "1", "2")
}

// A command and its children end with their worker, and the event is handled by the next one.
func TestKilledWorkerLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event)
	family := h.path("family")
	if err := syscall.Mkfifo(family, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(family, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	alive := os.NewFile(uintptr(fd), family)
	defer func() { _ = alive.Close() }()
	w := h.start(quick(`exec 9>family; setsid sleep 1000 & sh -c 'sleep 1000; :' & echo up >started; wait`)...)
	h.wait("started")
	w.kill()
	if err := alive.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, alive); err != nil { // it ends when the last process has
		t.Errorf("something of the command lives on: %v", err)
	}
	h.start(quick(`echo $CE_ID >>effects`, "--until-empty")...).exits(0)
	h.lines("effects", "1")
}

func TestKilledWorkersMakeOneEffect(t *testing.T) {
	t.Parallel()
	stores := map[string]func(t *testing.T) []string{
		"kv":    func(*testing.T) []string { return nil },
		"mongo": func(t *testing.T) []string { return []string{"--mongo", database(t)} },
	}
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.env = append(h.env, "MONGODB_URI=")
			flags := store(t)
			h.publish("t", strings.TrimSpace(strings.Repeat(event+"\n", 10)))
			// Killed before the effect: the command waits for something that never comes.
			w := h.start(quick(`echo up >started; exec sleep 1000`, flags...)...)
			h.wait("started")
			w.kill()
			h.lines("effects")
			// Killed after the mark: the next worker finds nothing to do.
			w = h.start(quick(`echo $CE_ID >>effects`, append(flags, "--log-level", "debug")...)...)
			h.wait("effects")
			h.publish("t", event)
			w.settled(h)
			w.kill()
			h.publish("t", event)
			h.start(quick(`echo $CE_ID >>effects`, append(flags, "--until-empty")...)...).exits(0)
			h.start(quick(`echo $CE_ID >>effects`, append(flags, "--until-empty")...)...).exits(0)
			h.lines("effects", "1")
		})
	}
}

// settled waits until the worker's group has settled everything: another process of it ends then.
func (p *process) settled(h *house) {
	p.t.Helper()
	args := p.cmd.Args[1:]
	h.start(append(slices.Clip(args), "--until-empty")...).exits(0)
}

// database is a URI with a database that is dropped when the test ends.
func database(t *testing.T) string {
	t.Helper()
	db := mongotest.Database(t)
	uri, options, _ := strings.Cut(mongotest.URI(t), "?")
	scheme, hosts, _ := strings.Cut(uri, "://")
	hosts, _, _ = strings.Cut(hosts, "/")
	if options != "" {
		options = "?" + options
	}
	return scheme + "://" + hosts + "/" + db.Name() + options
}

func TestSecondCommandJoinsAndTakesOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.start("run", "--topic", "other", "--group", "first", "--exec", "true")
	first.says("serving with an embedded NATS server")
	first.says("msg=running")
	second := h.start(quick(`echo $CE_ID >>effects`)...)
	second.says("joined the embedded NATS server of another process")
	second.says("msg=running")
	h.publish("t", event)
	h.wait("effects")
	first.kill()
	second.says("serving it from here")
	second.says("reconnected to NATS")
	h.publish("t", `{"id":"2"}`)
	for strings.Count(h.wait("effects"), "\n") < 1 { // two lines, the last without its end
		time.Sleep(5 * time.Millisecond)
	}
	second.signal(syscall.SIGTERM)
	second.exits(0)
	h.lines("effects", "1", "2")
}

func TestInterruptedPublishTellsHowFar(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(h.path("stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _, _ = in.Close(), out.Close(), stderr.Close() }()
	cmd := osexec.CommandContext(context.Background(), "worker", "publish", "t")
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = h.dir, h.env, in, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString("a\nb\nhalf"); err != nil {
		t.Fatal(err)
	}
	h.wait("data/nats.url")
	h.start("run", "--topic", "t", "--provision", "--group", "g", "--exec", "cat >>effects; echo >>effects").says("msg=running")
	h.wait("effects")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, want exit status 1", err)
	}
	for _, want := range []string{"published 2 events to t\n", "nothing was read after line 2\n"} {
		if got := h.wait("stderr"); !strings.Contains(got+"\n", want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var lines []string
	for i := range 6 {
		lines = append(lines, `{"id":"`+strconv.Itoa(i)+`"}`)
	}
	h.publish("t", strings.Join(lines, "\n"))
	// Each command waits for two others: it takes three at once.
	h.start(quick(`echo . >>up; while test $(wc -l <up) -lt 3; do sleep 0.01; done`, "--concurrency", "3", "--until-empty")...).exits(0)
}

// A server for this machine, whose URL others are told.
func TestServe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	cmd := osexec.Command("worker", "serve")
	cmd.Dir, cmd.Env, cmd.Stderr = h.dir, h.env, t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	other := newHouse(t) // with a data directory of its own
	other.env = append(other.env, "NATS_URL="+strings.TrimSpace(url))
	publish := osexec.Command("worker", "publish", "--provision", "t")
	publish.Dir, publish.Env, publish.Stdin = other.dir, other.env, strings.NewReader(event)
	if out, err := publish.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	h.start("run", "--topic", "t", "--group", "g", "--exec", "cat >>effects; echo >>effects", "--until-empty").exits(0)
	h.lines("effects", event)
}

// Whoever reads the worker's standard output goes away: the worker drains, and what it ran is not
// run again.
func TestClosedStandardOutputDrains(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event+"\n"+`{"id":"2"}`+"\n"+`{"id":"3"}`)
	args := quick(`echo $CE_ID >>effects; echo hello; test $CE_ID != 1 || read _ <go`, "--concurrency", "1")
	if err := syscall.Mkfifo(h.path("go"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h.stdout = in
	w := h.start(args...)
	_ = in.Close()
	h.wait("effects")
	_ = out.Close()
	if err := os.WriteFile(h.path("go"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.exits(1)
	w.says("msg=drained")
	w.says("nobody reads the standard output of commands any more")
	h.stdout = nil
	h.start(append(slices.Clip(args), "--until-empty")...).exits(0)
	effects := strings.Fields(h.wait("effects"))
	slices.Sort(effects) // what was given back may come in another order
	if !slices.Equal(effects, []string{"1", "2", "3"}) {
		t.Errorf("effects %q", effects)
	}
}

// A full disk under the worker's standard output is not the events' fault: exit status 0 is done.
func TestFullStandardOutputRepeatsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event+"\n"+`{"id":"2"}`)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	h.stdout = full
	w := h.start(quick(`echo $CE_ID >>effects; echo hello`, "--concurrency", "1", "--until-empty")...)
	w.exits(0)
	h.lines("effects", "1", "2")
	log, err := os.ReadFile(w.stderr)
	if n := bytes.Count(log, []byte("what commands write to standard output is lost")); err != nil || n != 1 {
		t.Errorf("it is told %d times, %v", n, err)
	}
}
