package natstest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	envPort  = "ONCEISH_NATSTEST_PORT"
	envStore = "ONCEISH_NATSTEST_STORE"
)

// Process is a server in a process of its own, which can be killed. It ends with the test. Its
// methods are for one caller at a time. The test's TestMain calls Serve first.
type Process struct {
	store   string
	port    int
	running *exec.Cmd
}

// Serve does nothing, unless this process was started by StartProcess: then it is that server until
// it is killed.
func Serve() {
	port, err := strconv.Atoi(os.Getenv(envPort))
	if err != nil {
		return
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, JetStream: true, StoreDir: os.Getenv(envStore),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "natstest:", err)
		os.Exit(1)
	}
	s.Start()
	_, _ = io.Copy(io.Discard, os.Stdin) // It ends when the test does, however that happens.
	os.Exit(0)
}

// StartProcess starts a server from this test's own binary.
func StartProcess(t testing.TB) *Process {
	t.Helper()
	p := &Process{store: filepath.Join(t.TempDir(), "store"), port: freePort(t)}
	t.Cleanup(p.kill)
	p.Start(t)
	return p
}

// Start starts a server that was killed, on the same port and store.
func (p *Process) Start(t testing.TB) {
	t.Helper()
	p.running = exec.Command(os.Args[0]) // #nosec G204 -- this binary
	p.running.Env = append(os.Environ(), envPort+"="+strconv.Itoa(p.port), envStore+"="+p.store)
	p.running.Stderr = os.Stderr
	_, err := p.running.StdinPipe()
	if err == nil {
		err = p.running.Start()
	}
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	for limit := time.Now().Add(ready); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", p.addr()); err == nil {
			_ = c.Close() // It was only to see.
			return
		}
	}
	t.Fatalf("natstest: the server was not ready after %v", ready)
}

// Kill ends the server with SIGKILL.
func (p *Process) Kill() { p.kill() }

func (p *Process) kill() {
	if p.running != nil {
		_ = p.running.Process.Kill() // It may have ended by itself.
		_ = p.running.Wait()         // It was killed, and says so.
		p.running = nil
	}
}

// URL is where clients connect. It stays the same when the server is started again.
func (p *Process) URL() string { return "nats://" + p.addr() }

func (p *Process) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }
