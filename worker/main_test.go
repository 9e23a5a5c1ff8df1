package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
	exechandler "github.com/onceish/onceish/worker/handlers/exec"
)

func TestMain(m *testing.M) {
	if death := os.Getenv(deathVariable); death != "" {
		dieAt(death)
	}
	if dir := os.Getenv(poisonedVariable); dir != "" {
		if err := runPoisoned(dir); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == guardArgument {
		if err := exechandler.KeepGuard(os.Stdin, os.Stderr); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	if kind := os.Getenv(frozenVariable); kind != "" {
		runFrozen(kind)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// lonely has no settings of the environment.
func lonely(t *testing.T) {
	t.Helper()
	for _, name := range []string{"NATS_URL", "NATS_CREDS", "MONGODB_URI"} {
		t.Setenv(name, "")
	}
}

func never(context.Context, *Worker) error { return errors.New("set up") }

func TestExecuteTellsWrongUsage(t *testing.T) {
	lonely(t)
	for want, args := range map[string][]string{
		"set --nats or NATS_URL":                  {},
		"did you mean --nats? See billing --help": {"--nts"},
		`unexpected argument "extra"`:             {"extra"},
		`--log-level: "loud" is none of`:          {"--log-level", "loud"},
		"--nats: it is no URL":                    {"--nats", "nats://:hunter2@ host"},
		"the MongoDB URI (--mongo, MONGODB_URI) ": {"--nats", natstest.Start(t, nil).URL(), "--mongo", "mongodb://hunter2@"},
	} {
		var stderr bytes.Buffer
		args = append([]string{"/bin/billing"}, args...)
		status := Execute(t.Context(), "billing", args, io.Discard, &stderr, never)
		if said := stderr.String(); status != 2 || !strings.Contains(said, want) || !strings.HasPrefix(said, "billing: ") || strings.Contains(said, "hunter2") {
			t.Errorf("%q: status %d, want %q: %s", args, status, want, said)
		}
	}
}

func TestExecuteShowsHelpAndVersion(t *testing.T) {
	lonely(t)
	t.Setenv("NATS_URL", "nats://hunter2@host")
	for flag, want := range map[string]string{"--help": "--mongo URI", "--version": "billing version "} {
		var stdout, stderr bytes.Buffer
		if status := Execute(t.Context(), "billing", []string{"billing", flag}, &stdout, &stderr, never); status != 0 || !strings.Contains(stdout.String(), want) {
			t.Errorf("%s: status %d: %s%s", flag, status, &stdout, &stderr)
		}
		if strings.Contains(stdout.String()+stderr.String(), "hunter2") {
			t.Errorf("%s shows a secret: %s%s", flag, &stdout, &stderr)
		}
	}
}

// A worker binary has no server of its own, and its help promises none.
func TestHelpPromisesNoServerOfItsOwn(t *testing.T) {
	lonely(t)
	var stdout bytes.Buffer
	if status := Execute(t.Context(), "billing", []string{"billing", "--help"}, &stdout, io.Discard, never); status != 0 {
		t.Fatal(status)
	}
	for line := range strings.Lines(stdout.String()) {
		if strings.Contains(line, "runs its own") || strings.Contains(line, "own server") {
			t.Error(line)
		}
	}
	if !strings.Contains(stdout.String(), "separated by commas; required") {
		t.Error(stdout.String())
	}
}

// execute runs a worker binary's main against a server, with events "1" to "3" on "t".
func execute(t *testing.T, setup Setup, flags ...string) (status int, stderr string) {
	t.Helper()
	lonely(t)
	url := natstest.Start(t, nil).URL()
	c, err := Connect(t.Context(), &ConnectOptions{NATS: url, Provision: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Bus().Topic(t.Context(), "t", "", bus.Start{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Bus().Publish(t.Context(), bus.Event{ID: "1", Topic: "t"}, bus.Event{ID: "2", Topic: "t"}, bus.Event{ID: "3", Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	args := append([]string{"billing", "--nats", url, "--provision"}, flags...)
	status = Execute(t.Context(), "billing", args, io.Discard, &log, setup)
	return status, log.String()
}

func TestExecuteHandlesWhatIsThere(t *testing.T) {
	var handled atomic.Int64
	status, log := execute(t, func(_ context.Context, w *Worker) error {
		if w.NATS() == nil || w.Mongo() != nil || w.Group() != "billing" {
			t.Errorf("NATS %v, Mongo %v, group %q", w.NATS(), w.Mongo(), w.Group())
		}
		w.Handle("t", func(context.Context, bus.Event) error {
			handled.Add(1)
			return nil
		}, nil)
		return nil
	}, "--until-empty")
	if status != 0 || handled.Load() != 3 {
		t.Errorf("status %d, %d handled\n%s", status, handled.Load(), log)
	}
}

// Flags of a subscription go before what the program says of it.
func TestExecuteHandlesAsItsFlagsSay(t *testing.T) {
	var running, most, handled atomic.Int64
	setup := func(_ context.Context, w *Worker) error {
		w.Handle("t", func(context.Context, bus.Event) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if handled.Add(1) <= 2 {
				return errActor
			}
			return nil
		}, &consumer.Options{Concurrency: 3, MaxAttempts: 1, Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}})
		return nil
	}
	status, log := execute(t, setup, "--until-empty", "--concurrency", "1", "--attempts", "t=9")
	if status != 0 || most.Load() != 1 || handled.Load() != 5 || strings.Contains(log, "dead-lettered") {
		t.Errorf("status %d, %d at once, %d runs\n%s", status, most.Load(), handled.Load(), log)
	}
	if status, log := execute(t, setup, "--until-empty", "--concurrency", "u=1"); status != 2 || !strings.Contains(log, `--concurrency is for the topic "u", and this program subscribes to t`) {
		t.Errorf("status %d\n%s", status, log)
	}
}

// Flags that make the program's options wrong are wrong usage, as in the worker command.
func TestExecuteRefusesFlagsThatMakeItsOptionsWrong(t *testing.T) {
	handle := func(o *consumer.Options) Setup {
		return func(_ context.Context, w *Worker) error {
			w.Handle("t", func(context.Context, bus.Event) error { return nil }, o)
			return nil
		}
	}
	status, log := execute(t, handle(nil), "--until-empty", "--ttl", "10s")
	if status != 2 || !strings.Contains(log, "--ttl is 10s: it must be longer than --lease, 30s") {
		t.Errorf("status %d\n%s", status, log)
	}
	status, log = execute(t, handle(&consumer.Options{TTL: time.Second}), "--until-empty")
	if status != 1 || !strings.Contains(log, "Options.TTL is 1s") {
		t.Errorf("the program's own fault: status %d\n%s", status, log)
	}
}

func TestExecuteDrainsAtASignal(t *testing.T) {
	var finished atomic.Bool
	status, log := execute(t, func(_ context.Context, w *Worker) error {
		w.Handle("t", func(ctx context.Context, _ bus.Event) error {
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			finished.Store(ctx.Err() == nil)
			return nil
		}, &consumer.Options{Concurrency: 1})
		return nil
	})
	if status != 0 || !finished.Load() || !strings.Contains(log, "shutting down") {
		t.Errorf("status %d, finished: %v\n%s", status, finished.Load(), log)
	}
}

func TestExecuteFailsWithItsSetup(t *testing.T) {
	closed := false
	status, log := execute(t, func(_ context.Context, w *Worker) error {
		w.Defer(func() error {
			closed = true
			return nil
		})
		return errActor
	})
	if status != 1 || !closed || !strings.Contains(log, "billing: the actor's own") {
		t.Errorf("status %d, closed: %v\n%s", status, closed, log)
	}
}

// A process that is told to end while it starts has not failed.
func TestExecuteThatIsToldToEndAtOnceHasNotFailed(t *testing.T) {
	status, log := execute(t, func(ctx context.Context, _ *Worker) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if status != 0 || !strings.Contains(log, "ended before it ran") {
		t.Errorf("status %d\n%s", status, log)
	}
}
