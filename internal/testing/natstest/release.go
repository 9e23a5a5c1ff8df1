package natstest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Release is a released server, of whatever version, with JetStream in a process of its own. It
// ends with the test. Its methods are for one caller at a time.
type Release struct {
	binary, store string
	port          int
	arguments     []string

	running *exec.Cmd
	orders  io.WriteCloser // to guard
	said    *tail
}

// guard runs a command until it is told by which signal to end it, or nobody is left to tell it.
const guard = `"$0" "$@" </dev/null & read -r signal; kill -s "${signal:-KILL}" $!; wait $!`

// StartVersion starts a released server, such as "2.11.0", on a free port of the loopback
// interface, with further arguments of the command line. It is built from the module proxy once,
// and kept: see Install.
func StartVersion(t testing.TB, version string, arguments ...string) *Release {
	t.Helper()
	binary, err := Install(t.Context(), version)
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	r := &Release{binary: binary, store: filepath.Join(t.TempDir(), "store"), port: freePort(t), arguments: arguments}
	t.Cleanup(r.Stop)
	r.Start(t)
	return r
}

// Start starts a server that was stopped, on the same port and store.
func (r *Release) Start(t testing.TB) {
	t.Helper()
	arguments := []string{"-c", guard, r.binary, "-a", "127.0.0.1", "-p", strconv.Itoa(r.port), "-js", "-sd", r.store}
	r.running = exec.Command("/bin/sh", append(arguments, r.arguments...)...) // #nosec G204 -- arguments are passed on as they are
	orders, err := r.running.StdinPipe()
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	r.said = &tail{}
	r.running.Stderr, r.orders = r.said, orders
	if err := r.running.Start(); err != nil {
		t.Fatalf("natstest: %v", err)
	}
	for limit := time.Now().Add(ready); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if r.greets() {
			return
		}
	}
	r.Kill()
	t.Fatalf("natstest: %s was not ready after %v: %s", r.binary, ready, r.said)
}

// greets reports whether the server answers, which it does before its JetStream does.
func (r *Release) greets() bool {
	c, err := net.Dial("tcp", r.addr())
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Second)) // A server that says nothing is not ready.
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "INFO ")
}

// Stop stops the server in order.
func (r *Release) Stop() { r.end("TERM") }

// Kill ends the server with SIGKILL.
func (r *Release) Kill() { r.end("KILL") }

func (r *Release) end(signal string) {
	if r.running == nil {
		return
	}
	_, err := io.WriteString(r.orders, signal+"\n")
	_ = errors.Join(err, r.orders.Close(), r.running.Wait()) // It ended because it was told to, or before.
	r.running = nil
}

// Copy copies the store, and returns where to. Stop the server before.
func (r *Release) Copy(t testing.TB) string { t.Helper(); return copyStore(t, r.store) }

// Restore puts a copy in the place of the store. The server must be stopped.
func (r *Release) Restore(t testing.TB, from string) { t.Helper(); restoreStore(t, r.store, from) }

// URL is where clients connect. It stays the same when the server is started again.
func (r *Release) URL() string { return "nats://" + r.addr() }

// Connect opens a connection that reconnects quickly and for ever, and is closed with the test.
func (r *Release) Connect(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return Connect(t, r.URL(), options...)
}

func (r *Release) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }
