//go:build linux

package command

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestRunTellsHowTheCommandEnded(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, &bytes.Buffer{}, time.Second)
	for _, test := range []struct {
		line, how, tail string
		code            int
	}{
		{line: `exit 0`, how: "exit status 0"},
		{line: `exit 65`, how: "exit status 65", code: 65},
		{line: `echo first >&2; echo why >&2; exit 7`, how: "exit status 7", code: 7, tail: "first\nwhy"},
		{line: `kill -KILL $$`, how: "signal: killed", code: -1},
		{line: `printf '\377\376bad\n' >&2; exit 1`, how: "exit status 1", code: 1, tail: "bad"},
		{line: `test "$(cat)" = data`, how: "exit status 0"},
		{line: `no-such-command-anywhere 2>/dev/null`, how: "exit status 127", code: 127},
	} {
		exit, err := r.Run(t.Context(), test.line, os.Environ(), []byte("data"))
		if err != nil {
			t.Fatalf("%s: %v", test.line, err)
		}
		if want := (Exit{Code: test.code, How: test.how, Tail: test.tail}); exit != want {
			t.Errorf("%s: %+v, want %+v", test.line, exit, want)
		}
	}
}

func TestRunPassesOutputOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r, _ := startRunner(t, &out, time.Second)
	if _, err := r.Run(t.Context(), `echo out; echo err >&2; printf 'no end'`, os.Environ(), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"out\n", "err\n", "no end\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, &out)
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// How the command ended does not depend on what becomes of its output.
func TestRunTellsThatStandardOutputIsLost(t *testing.T) {
	t.Parallel()
	r, g, err := newRunner(full{}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	for line, code := range map[string]int{`echo lost`: 0, `echo lost; exit 65`: 65} {
		if exit, err := r.Run(t.Context(), line, os.Environ(), nil); err != nil || exit.Code != code || !errors.Is(exit.Lost, errFull) {
			t.Errorf("%+v, %v: want exit status %d, and %v", exit, err, code, errFull)
		}
	}
	if exit, err := r.Run(t.Context(), `exit 0`, os.Environ(), nil); err != nil || exit.Lost != nil {
		t.Errorf("%+v, %v: there was nothing to lose", exit, err)
	}
}

func TestRunSurvivesFloods(t *testing.T) {
	t.Parallel()
	r, err := NewRunner(startGuard(t), Options{Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := r.Run(t.Context(), `head -c 30000000 /dev/zero; head -c 30000000 /dev/zero | tr '\0' x >&2; echo >&2; echo last >&2; exit 1`, os.Environ(), nil)
	if err != nil || exit.Tail != "last" {
		t.Errorf("tail of %d bytes, %v: want the last line", len(exit.Tail), err)
	}
}

func startGuard(t *testing.T) *Guard {
	t.Helper()
	_, g := startRunner(t, &bytes.Buffer{}, time.Second)
	return g
}

func TestRunDoesNotWaitForItsInputToBeRead(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, &bytes.Buffer{}, time.Second)
	exit, err := r.Run(t.Context(), `exit 0`, os.Environ(), make([]byte, 4<<20))
	if err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
}

func TestRunEndsWhatIsLeftInItsGroup(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, &bytes.Buffer{}, time.Minute)
	f := newFamily(t)
	exit, err := r.Run(t.Context(), join+`sleep 1000 & exit 0`, f.env(), nil)
	if err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	f.gone(t)
}

func TestRunDoesNotWaitForWhoLeftItsGroup(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, &bytes.Buffer{}, 200*time.Millisecond)
	f := newFamily(t)
	exit, err := r.Run(t.Context(), join+`mkfifo "$FAMILY.up"; setsid sh -c 'echo >&9; echo >"$FAMILY.up"; exec sleep 1000' & read _ <"$FAMILY.up"; exit 0`, f.env(), make([]byte, 1<<20))
	if err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	f.ready(t) // it lives
	killMarked(map[string]bool{r.guard.name + ".1": true})
	f.gone(t)
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line string
		tail string
	}{
		"that obeys":           {line: `echo >&9; sleep 1000`},
		"that ignores SIGTERM": {line: `trap '' TERM; echo >&9; sleep 1000; sleep 1000`},
		"that exits with 0":    {line: `trap 'echo cleaned >&2; exit 0' TERM; echo >&9; while :; do sleep 0.01; done`, tail: "cleaned"},
		"whose child has left": {line: `setsid sh -c 'echo >&9; sleep 1000' & wait`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := startRunner(t, &bytes.Buffer{}, 300*time.Millisecond)
			f := newFamily(t)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				f.ready(t)
				cancel()
			}()
			exit, err := r.Run(ctx, join+test.line, f.env(), nil)
			if err != nil || !exit.Stopped || !strings.HasSuffix(exit.Tail, test.tail) {
				t.Errorf("%+v, %v: want a command that was stopped", exit, err)
			}
			f.gone(t)
		})
	}
}

// A command that had ended when its ctx did was not stopped: its exit status is an answer. Both
// come at once when this process was frozen.
func TestExitBeforeTheEndOfTheContextCounts(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, &bytes.Buffer{}, time.Minute)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		cmd := exec.Command(Shell, "-c", "exit 0")
		cmd.SysProcAttr = ownGroup()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		awaitExit(cmd.Process.Pid)
		if r.watchProcess(ended, cmd.Process.Pid, "none") {
			t.Error("it was stopped")
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestRunGivesChildrenTheirGrace(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, &bytes.Buffer{}, time.Minute)
	f := newFamily(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		f.ready(t)
		cancel()
	}()
	// The shell dies at once; its child needs a moment.
	exit, err := r.Run(ctx, join+`sh -c 'trap "sleep 0.2; echo saved >&2; exit 1" TERM; echo >&9; while :; do sleep 0.01; done'; :`, f.env(), nil)
	if err != nil || !strings.HasSuffix(exit.Tail, "saved") {
		t.Errorf("%+v, %v: want what the child said at its end", exit, err)
	}
}

func TestNoRunWithoutItsGuard(t *testing.T) {
	t.Parallel()
	r, g, err := newRunner(&bytes.Buffer{}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-g.Ended()
	if _, err := r.Run(t.Context(), `exit 0`, os.Environ(), nil); !errors.Is(err, ErrUnguarded) {
		t.Errorf("%v, want %v", err, ErrUnguarded)
	}
	for what, err := range map[string]error{"Err": g.Err(), "Close": g.Close()} { // the last line of a log is one of these
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "the guard of the commands") || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("%s: %v; want one line that says who was killed", what, err)
		}
	}
	if err := g.Err(); !errors.Is(err, ErrUnguarded) {
		t.Errorf("%v, want %v", err, ErrUnguarded)
	}
}

func TestCommandsDieWithTheirProcess(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"child":              `echo >&9; exec sleep 1000`,
		"grandchild":         `sh -c 'echo >&9; sleep 1000; :'; :`,
		"background":         `(echo >&9; sleep 1000; sleep 1000) & wait`,
		"own session":        `setsid sh -c 'echo >&9; sleep 1000' & wait`,
		"no environment":     `env -i /bin/sh -c 'echo >&9; sleep 1000; :' & wait`,
		"ignores all it can": `trap '' TERM HUP INT; echo >&9; sleep 1000; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, how := range []string{"run", "start"} {
				f := newFamily(t)
				victim := exec.Command(os.Args[0], how, join+line)
				victim.Env = f.env()
				if err := victim.Start(); err != nil {
					t.Fatal(err)
				}
				f.ready(t)
				if err := victim.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = victim.Wait() // killed
				f.gone(t)
			}
		})
	}
}
