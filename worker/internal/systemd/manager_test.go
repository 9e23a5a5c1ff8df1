package systemd

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// draining is how long what a manager follows takes to end.
const draining = 50 * time.Second

// follow runs a manager with a watchdog of a minute for as long as it takes, and returns what it
// was told.
func follow(t *testing.T, stalled func() error, lasting time.Duration) (told []string, log string) {
	t.Helper()
	var text bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		m := &Manager{watchdog: time.Minute, log: slog.New(slog.NewTextHandler(&text, nil)), send: func(message string) error {
			told = append(told, message)
			return nil
		}}
		stop, ended := make(chan struct{}), make(chan struct{})
		time.AfterFunc(lasting, func() { close(stop) })
		time.AfterFunc(lasting+draining, func() { close(ended) })
		m.Follow(stop, ended, stalled)
	})
	return told, text.String()
}

func TestManagerIsToldReadyThenPingedUntilTheEnd(t *testing.T) {
	t.Parallel()
	told, log := follow(t, func() error { return nil }, 90*time.Second)
	want := []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"}
	if !slices.Equal(told, want) || log != "" {
		t.Errorf("told %q, want %q; logged %s", told, want, log)
	}
}

// While nothing progresses nobody pings, and the reason is logged once. Pings go on with progress.
func TestManagerIsNotPingedWithoutProgress(t *testing.T) {
	t.Parallel()
	n := 0
	told, log := follow(t, func() error {
		if n++; n == 2 || n == 3 {
			return errors.New("all slots are held")
		}
		return nil
	}, 90*time.Second)
	want := []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"}
	if !slices.Equal(told, want) || strings.Count(log, "all slots are held") != 1 {
		t.Errorf("told %q, want %q; logged %s", told, want, log)
	}
}

func TestManagerWithoutAWatchdogIsNotPinged(t *testing.T) {
	t.Parallel()
	var told []string
	m := &Manager{send: func(message string) error {
		told = append(told, message)
		return nil
	}}
	stop := make(chan struct{})
	close(stop)
	m.Follow(stop, stop, func() error { t.Error("asked for progress"); return nil })
	if want := []string{"READY=1", "STOPPING=1"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestMessagesThatCannotBeSentAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := &Manager{log: slog.New(slog.NewTextHandler(&log, nil)), send: func(string) error { return errors.New("no such socket") }}
	stop := make(chan struct{})
	close(stop)
	m.Follow(stop, stop, nil)
	if n := strings.Count(log.String(), "no such socket"); n != 2 {
		t.Errorf("logged %d times, want READY and STOPPING: %s", n, &log)
	}
}

func TestManagerIsTheOneOfTheEnvironment(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]struct {
		socket, usec, pid string
		manager           bool
		watchdog          time.Duration
		fails             string
	}{
		"none":            {},
		"no watchdog":     {socket: socket, manager: true},
		"watchdog":        {socket: socket, usec: "30000000", pid: strconv.Itoa(os.Getpid()), manager: true, watchdog: 30 * time.Second},
		"another process": {socket: socket, usec: "30000000", pid: "1", manager: true},
		"no number":       {socket: socket, usec: "soon", fails: "unset WATCHDOG_USEC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", c.socket)
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("WATCHDOG_PID", c.pid)
			m, err := FromEnvironment(nil)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%v, want %q", err, c.fails)
				}
				return
			}
			if err != nil || (m != nil) != c.manager {
				t.Fatalf("%v, %v", m, err)
			}
			if m == nil {
				return
			}
			if m.watchdog != c.watchdog {
				t.Errorf("watchdog %v, want %v", m.watchdog, c.watchdog)
			}
			m.tell("READY=1")
			buffer := make([]byte, 64)
			if n, err := l.Read(buffer); err != nil || string(buffer[:n]) != "READY=1" {
				t.Errorf("%q, %v", buffer[:n], err)
			}
		})
	}
}

// A manager that hangs costs a second for each message, and no drain.
func TestManagerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 1 << 20 {
		if err := sendMessage(socket, "WATCHDOG=1"); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want the time-out", err)
			}
			return
		}
	}
	t.Error("the socket takes everything")
}
