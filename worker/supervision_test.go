package worker

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// managerSocket is what a service manager listens on.
type managerSocket struct {
	t    *testing.T
	told chan string
}

// listenAsManager makes this process one that a service manager has started, with a watchdog.
func listenAsManager(t *testing.T, watchdogMicroseconds string) *managerSocket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdogMicroseconds)
	t.Setenv("WATCHDOG_PID", "")
	m := &managerSocket{t: t, told: make(chan string, 1<<16)}
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 256)
		for n, err := conn.Read(buffer); err == nil; n, err = conn.Read(buffer) {
			m.told <- string(buffer[:n])
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		reading.Wait()
	})
	return m
}

// next is the next message.
func (m *managerSocket) next() string {
	m.t.Helper()
	select {
	case told := <-m.told:
		return told
	case <-time.After(time.Minute):
		m.t.Fatal("the manager is told nothing")
		return ""
	}
}

// fallsSilent reports whether nothing is said for the time of ten pings of the test, sooner or
// later.
func (m *managerSocket) fallsSilent() bool {
	for range 1000 {
		select {
		case <-m.told:
		case <-time.After(100 * time.Millisecond):
			return true
		}
	}
	return false
}

// alarmHandler passes on the errors that are logged.
type alarmHandler struct {
	slog.Handler

	alarms chan string
}

func (h alarmHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelError {
		r.Attrs(func(a slog.Attr) bool {
			h.alarms <- r.Message + ": " + a.Value.String()
			return false
		})
	}
	return nil
}

func (alarmHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h alarmHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// A handler that does not return holds the only slot: the watchdog is left alone from when that is
// known until the handler is back, and the log says why.
func TestWatchdogIsPingedOnlyWhileThereIsProgress(t *testing.T) {
	lonely(t)
	manager := listenAsManager(t, "30000") // a ping each 10 ms
	log := slog.New(alarmHandler{slog.DiscardHandler, make(chan string, 8)})
	release, ended := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url := natstest.Start(t, nil).URL()
	go func() {
		var publish func()
		ended <- Serve(ctx, "g", &ConnectOptions{NATS: url, Provision: true, Logger: log}, &Options{Logger: log, Started: func() { publish() }}, func(ctx context.Context, w *Worker) error {
			w.Handle("t", func(context.Context, bus.Event) error {
				<-release
				return nil
			}, &consumer.Options{Concurrency: 1, RunLimit: time.Millisecond, Lease: time.Second})
			publish = func() {
				if _, err := w.Bus().Publish(ctx, bus.Event{ID: "1", Topic: "t"}); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
	}()
	if first, second := manager.next(), manager.next(); first != "READY=1" || second != "WATCHDOG=1" {
		t.Errorf("told %q, then %q", first, second)
	}
	if alarm := <-log.Handler().(alarmHandler).alarms; !strings.Contains(alarm, "no progress") || !strings.Contains(alarm, "all 1 slots") {
		t.Errorf("logged %q", alarm)
	}
	if !manager.fallsSilent() {
		t.Error("the watchdog is pinged although nothing can run")
	}
	close(release)
	if told := manager.next(); told != "WATCHDOG=1" {
		t.Errorf("told %q once the handler is back", told)
	}
	cancel()
	for told := manager.next(); told != "STOPPING=1"; told = manager.next() {
		if told != "WATCHDOG=1" {
			t.Fatalf("told %q", told)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
