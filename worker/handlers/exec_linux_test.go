package handlers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/internal/command"
)

// Every exit status has its verdict: 0 is done, 65 never again, all others again.
func TestExitStatusesAreVerdicts(t *testing.T) {
	t.Parallel()
	for code := range 256 {
		how := fmt.Sprintf("exit status %d", code)
		err := judge(t.Context(), &command.Exit{Code: code, How: how, Tail: "why"})
		if code == 0 {
			if err != nil {
				t.Errorf("%s: %v", how, err)
			}
			continue
		}
		is(t, err, false, how, ": why")
		if consumer.IsPermanent(err) != (code == 65) {
			t.Errorf("%s: is it permanent: %v", how, consumer.IsPermanent(err))
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
	err := judge(t.Context(), &command.Exit{Code: -1, How: "signal: segmentation fault"})
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
			err := judge(ctx, &command.Exit{Code: code, Stopped: true, Tail: "why"})
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
	x, err := NewExec("g", `echo "$CE_ID" >&2; exit "$CE_ID"`, &ExecOptions{Guard: []string{os.Args[0], "guard"}, Env: os.Environ(), Stderr: out, Grace: time.Second})
	must(t, err)
	defer func() { must(t, x.Close()) }()
	for code, permanent := range map[string]bool{"1": false, "64": false, "65": true, "66": false, "75": false, "127": false} {
		err := x.Handle(within(t.Context(), code), bus.Event{ID: code, Topic: "t"})
		is(t, err, false, "exit status "+code)
		if consumer.IsPermanent(err) != permanent {
			t.Errorf("%v: permanent: %v", err, !permanent)
		}
	}
	must(t, x.Handle(within(t.Context(), "0"), bus.Event{ID: "0", Topic: "t"}))
}
