package worker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
	exechandler "github.com/onceish/onceish/worker/handlers/exec"
)

// A process of these tests runs a worker that is frozen now and then.
const (
	frozenVariable = "ONCEISH_TEST_FROZEN" // the kind of its handler
	guardArgument  = "guard"
)

// frozenLease is long: a third of it is how long the store may take to answer after a freeze, on a
// loaded machine.
const frozenLease = 6 * time.Second

// The effects of these commands are lines of a file. They take a while after the effect, so that a
// freeze finds many of them between the effect and their end.
const (
	execEffect   = `echo "$CE_ID" >>effects; sleep 0.05`
	streamEffect = `while read -r line; do
		number=${line#*:}; id=${line#*'"id":"'}
		echo "${id%%'"'*}" >>effects; sleep 0.01
		echo "{\"delivery\":${number%%,*},\"status\":\"done\"}"
	done`
)

// runFrozen handles what is on "t" in the current directory, until it is empty.
func runFrozen(kind string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := Connect(ctx, &ConnectOptions{NATS: os.Getenv("NATS_URL"), Provision: true})
	if err != nil {
		panic(err)
	}
	w, err := New("g", c, &Options{UntilEmpty: true})
	if err != nil {
		panic(err)
	}
	guard := []string{os.Args[0], guardArgument}
	var handler consumer.Handler
	switch kind {
	case "go":
		handler = func(_ context.Context, e bus.Event) error {
			defer time.Sleep(50 * time.Millisecond) // it takes that long to return
			return appendLine("effects", e.ID)
		}
	case "exec":
		x, err := exechandler.New("g", execEffect, &exechandler.Options{Guard: guard, Env: os.Environ(), Stderr: os.Stderr})
		if err != nil {
			panic(err)
		}
		w.Defer(x.Close)
		handler = x.Handle
	case "stream":
		s, err := exechandler.NewStream("g", streamEffect, &exechandler.Options{Guard: guard, Env: os.Environ(), Stderr: os.Stderr})
		if err != nil {
			panic(err)
		}
		w.Defer(s.Close)
		handler = s.Handle
	}
	w.Handle("t", handler, &consumer.Options{Lease: frozenLease, AckWait: frozenLease, Concurrency: 8})
	if err := w.Run(ctx); err != nil {
		panic(err)
	}
	if err := c.Close(); err != nil {
		panic(err)
	}
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.WriteString(line + "\n")
	return err
}

// A worker that was frozen for longer than its lease, alone or with its commands, makes no effect
// again while nobody else has taken its events.
func TestFreezesRepeatNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"go", "exec", "stream"} {
		for _, who := range []string{"worker", "worker and commands"} {
			t.Run(kind+", "+who, func(t *testing.T) {
				t.Parallel()
				freezeThreeTimes(t, kind, who == "worker")
			})
		}
	}
}

func freezeThreeTimes(t *testing.T, kind string, alone bool) {
	t.Helper()
	const events = 160
	url, dir := natstest.Start(t, nil).URL(), t.TempDir()
	publishTo(t, url, events)
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), frozenVariable+"="+kind, "NATS_URL="+url)
	victim.Dir = dir
	var said bytes.Buffer
	victim.Stdout, victim.Stderr = &said, &said
	victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- victim.Wait() }()
	effects := func() []string {
		made, _ := os.ReadFile(filepath.Join(dir, "effects")) // or it is not there yet
		return strings.Fields(string(made))
	}
	for i := range 3 {
		for end := time.Now().Add(time.Minute); len(effects()) < 5+i*events/5; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d effects:\n%s", len(effects()), &said)
			}
		}
		frozen := []int{victim.Process.Pid}
		if !alone {
			frozen = descendants(victim.Process.Pid)
		}
		for _, pid := range frozen {
			_ = syscall.Kill(pid, syscall.SIGSTOP) // or a command has ended
		}
		time.Sleep(frozenLease + time.Second) // the freeze is a time
		for _, pid := range slices.Backward(frozen) {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	if err := <-ended; err != nil {
		t.Fatalf("%v:\n%s", err, &said)
	}
	times := map[string]int{}
	for _, id := range effects() {
		times[id]++
	}
	if len(times) != events {
		t.Errorf("%d of %d events have an effect", len(times), events)
	}
	if repeats := len(effects()) - len(times); repeats > 0 {
		t.Errorf("%d effects were repeated:\n%s", repeats, &said)
	}
}

func publishTo(t *testing.T, url string, events int) {
	t.Helper()
	c, err := Connect(t.Context(), &ConnectOptions{NATS: url, Provision: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Bus().Topic(t.Context(), "t", "", bus.Start{}); err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if _, err := c.Bus().Publish(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
}

// descendants are the process and all that come from it, but for those that have left their
// parents.
func descendants(pid int) []int {
	all := []int{pid}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is right
	for _, name := range threads {
		children, _ := os.ReadFile(name) // or it has ended
		for child := range strings.FieldsSeq(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, descendants(n)...)
			}
		}
	}
	return all
}
