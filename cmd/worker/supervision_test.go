package main

import (
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// manager is what a service manager listens on.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// supervise makes the workers of a house those of a service manager with a watchdog.
func (h *house) supervise() *manager {
	h.t.Helper()
	socket := h.path("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	h.env = append(h.env, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=300000")
	return &manager{t: h.t, conn: conn}
}

// next is the next message.
func (m *manager) next() string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(90 * time.Second))
	buffer := make([]byte, 256)
	n, err := m.conn.Read(buffer)
	if err != nil {
		m.t.Fatal("the manager is told nothing:", err)
	}
	return string(buffer[:n])
}

// A real worker is ready once it is subscribed, pings, and says that it stops while its command
// still runs. The command is not told of the manager.
func TestServiceManagerFollowsAWorker(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", event)
	if err := syscall.Mkfifo(h.path("go"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := h.supervise()
	w := h.start(quick(`echo "socket=$NOTIFY_SOCKET$WATCHDOG_USEC" >started; read _ <go; echo $CE_ID >>effects`)...)
	if told := m.next(); told != "READY=1" {
		t.Errorf("first %q", told)
	}
	w.says("msg=running")
	if told := m.next(); told != "WATCHDOG=1" {
		t.Errorf("then %q", told)
	}
	if got := h.wait("started"); got != "socket=" {
		t.Errorf("the command knows the manager: %q", got)
	}
	w.signal(syscall.SIGTERM)
	told := m.next()
	for told == "WATCHDOG=1" {
		told = m.next()
	}
	if told != "STOPPING=1" {
		t.Errorf("at the end %q", told)
	}
	h.lines("effects") // the command still runs
	if err := os.WriteFile(h.path("go"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.exits(0)
	h.lines("effects", "1")
}

// The watchdog's SIGABRT ends a worker with a stack of each goroutine, and, as the unit sets it up,
// not with exit status 2: the manager does not restart what ended with that.
func TestWatchdogEndsAWorkerThatIsRestarted(t *testing.T) {
	t.Parallel()
	for env, status := range map[string]int{"GOTRACEBACK=crash": -1, "GOTRACEBACK=all": 2} {
		h := newHouse(t)
		h.env = append(slices.Clip(h.env), env)
		m := h.supervise()
		w := h.start(quick("true")...)
		if told := m.next(); told != "READY=1" {
			t.Errorf("first %q", told)
		}
		w.signal(syscall.SIGABRT)
		w.exits(status)
		w.says("SIGABRT: abort")
		if got := w.cmd.ProcessState.Sys().(syscall.WaitStatus); status == -1 && got.Signal() != syscall.SIGABRT {
			t.Errorf("%s: ended by %v", env, got.Signal())
		}
	}
}
