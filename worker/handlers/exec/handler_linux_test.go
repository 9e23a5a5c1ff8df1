package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/handlertest"
	"github.com/onceish/onceish/worker/internal/command"
)

// Every exit status has its verdict: 0 is done, 65 never again, 69 and 75 no fault of the event,
// all others again.
func TestExitStatusesAreVerdicts(t *testing.T) {
	t.Parallel()
	for code := range 256 {
		how := fmt.Sprintf("exit status %d", code)
		err := classifyExit(t.Context(), &command.Exit{Code: code, How: how, Tail: "why"})
		if code == 0 {
			if err != nil {
				t.Errorf("%s: %v", how, err)
			}
			continue
		}
		is(t, err, false, how, ": why")
		want := handlertest.Retry
		if m, ok := map[int]string{65: handlertest.Permanent, 69: handlertest.Unavailable, 75: handlertest.Throttled}[code]; ok {
			want = m
		}
		if got := handlertest.MeaningOf(err); got != want {
			t.Errorf("%s: %s, want %s", how, got, want)
		}
		for hint, of := range map[string]int{"cannot be executed": 126, "does not exist": 127} {
			if strings.Contains(err.Error(), hint) != (code == of) {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
}

func TestSignalsAreFailures(t *testing.T) {
	t.Parallel()
	err := classifyExit(t.Context(), &command.Exit{Code: -1, How: "signal: segmentation fault"})
	is(t, err, false, "signal: segmentation fault")
	if consumer.IsPermanent(err) {
		t.Errorf("%v is permanent", err)
	}
}

// A command that was told to end has made no statement, whatever it exits with.
func TestStoppedCommandsAreNoVerdicts(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{consumer.ErrLeaseLost, consumer.ErrRunLimit, consumer.ErrDrainTimeout} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		for code := -1; code < 256; code++ {
			err := classifyExit(ctx, &command.Exit{Code: code, Stopped: true, Tail: "why"})
			is(t, err, false, "stopped: "+cause.Error(), ": why")
			if !errors.Is(err, cause) || consumer.IsPermanent(err) {
				t.Errorf("exit status %d: %v, permanent: %v", code, err, consumer.IsPermanent(err))
			}
		}
	}
}

// The same of real commands.
func TestExecAnswersByItsExitStatus(t *testing.T) {
	t.Parallel()
	out := newJournal()
	x, err := New("g", `echo "$CE_ID" >&2; exit "$CE_ID"`, &Options{Guard: []string{os.Args[0], "guard"}, Env: os.Environ(), Stderr: out, Grace: time.Second})
	must(t, err)
	defer func() { must(t, x.Close()) }()
	must(t, x.Handle(within(t.Context(), "0"), bus.Event{ID: "0", Topic: "t"}))
	for code, want := range map[string]string{"1": handlertest.Retry, "64": handlertest.Retry, "65": handlertest.Permanent, "69": handlertest.Unavailable, "75": handlertest.Throttled, "127": handlertest.Retry} {
		err := x.Handle(within(t.Context(), code), bus.Event{ID: code, Topic: "t"})
		is(t, err, false, "exit status "+code)
		if got := handlertest.MeaningOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func newExec(t *testing.T, line string) *Handler {
	t.Helper()
	x, err := New("g", line, &Options{Guard: []string{os.Args[0], "guard"}, Env: os.Environ(), Grace: time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, x.Close()) })
	return x
}

// A command that does not exist is no fault of an event, and the worker ends, unless the command
// has succeeded before.
func TestExecCommandThatCannotRunEndsTheWorker(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{"./typo": "does not exist", "/etc/passwd": "cannot be executed"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			x := newExec(t, line)
			if err := x.Handle(within(t.Context(), "a"), bus.Event{ID: "a", Topic: "t"}); handlertest.MeaningOf(err) != handlertest.Unavailable {
				t.Errorf("%s: %v", handlertest.MeaningOf(err), err)
			}
			run, _ := x.Actor()
			is(t, run(), false, want, line, "permissions")
		})
	}
}

// What the system takes from nobody is refused before any event is handled.
func TestCommandsThatNoSystemTakesAreRefused(t *testing.T) {
	t.Parallel()
	for want, line := range map[string]string{"has a NUL at byte 4": "echo\x00", "has 131072 bytes": strings.Repeat("x", 128<<10), "is empty": ""} {
		_, err := New("g", line, &Options{Guard: []string{"false"}})
		is(t, err, false, want)
		_, err = NewStream("g", line, &Options{Guard: []string{"false"}})
		is(t, err, false, want)
	}
	x := newExec(t, "true #"+strings.Repeat("x", 128<<10-1-len("true #")))
	must(t, x.Handle(within(t.Context(), "a"), bus.Event{ID: "a", Topic: "t"}))
}

// Where no command can be started the event is not to blame. The worker ends if that lasts.
func TestCommandsThatCannotBeStartedBlameNoEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := &Handler{shellHandler: shellHandler{over: make(chan struct{})}}
		noRoom := &os.SyscallError{Syscall: "fork/exec", Err: syscall.EAGAIN}
		fail := func(othersRun bool) {
			if err := x.classifyStartFailure(t.Context(), noRoom, othersRun); handlertest.MeaningOf(err) != handlertest.Throttled || !errors.Is(err, syscall.EAGAIN) {
				t.Errorf("%s: %v", handlertest.MeaningOf(err), err)
			}
		}
		fail(false)
		time.Sleep(startFailureLimit - 1)
		fail(false)
		x.starts.recordSuccess()
		time.Sleep(startFailureLimit)
		fail(false)
		time.Sleep(startFailureLimit)
		fail(true)
		if x.err != nil {
			t.Errorf("the worker ends: %v", x.err)
		}
		fail(false)
		run, _ := (&Handler{shellHandler: shellHandler{over: x.over, err: x.err, guard: &command.Guard{}}}).Actor()
		is(t, run(), false, "no command could be started for 5s", "resource temporarily unavailable")
	})
}
