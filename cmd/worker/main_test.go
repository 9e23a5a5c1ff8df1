package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
)

// TestMain makes this program the worker command, for scripts and for tests that start it.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"worker": func() { os.Exit(execArgs(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)) },
	})
}

type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ONCEISH_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			e.Setenv("LC_ALL", "C")
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			s := newService()
			e.Defer(s.Close)
			e.Setenv("URL", s.URL)
			e.Values[serviceValue] = s
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "plain": plain, "letters": letters, "long": long, "countLines": countLines, "requests": requests, "waitFile": waitFile,
		},
	})
}

// service is an endpoint that keeps what it was asked.
type service struct {
	*httptest.Server

	mu   sync.Mutex
	kept strings.Builder
}

const serviceValue = "service"

func newService() *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing is seen
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintf(&s.kept, "%s %s %s\n", r.Header.Get("Ce-Id"), r.Header.Get("Content-Type"), body)
	}))
	return s
}

// requests writes what the script's service was asked, a line each: requests FILE.
func requests(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(serviceValue).(*service)
	s.mu.Lock()
	defer s.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(s.kept.String()), 0o600))
}

// status runs a command that must exit with a status: status 2 worker publish.
func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if err := ts.Exec(args[1], args[2:]...); exitCode(err) != want {
		ts.Fatalf("%v: %v, want exit status %d", args[1:], err, want)
	}
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(*osexec.ExitError); ok { //nolint:errorlint // testscript returns it as it is
		return exit.ExitCode()
	}
	return -1
}

// plain publishes a message that is no CloudEvent: plain TOPIC DATA [MESSAGE-ID]. It needs a
// server that runs.
func plain(ts *testscript.TestScript, _ bool, args []string) {
	nc := connect(ts)
	defer nc.Close()
	js, err := nc.JetStream()
	ts.Check(err)
	msg := nats.NewMsg(args[0])
	msg.Data = []byte(args[1])
	if len(args) > 2 {
		msg.Header.Set(nats.MsgIdHdr, args[2])
	}
	_, err = js.PublishMsg(msg)
	ts.Check(err)
}

func connect(ts *testscript.TestScript) *nats.Conn {
	url, err := waitForFile(filepath.Join(ts.Getenv("ONCEISH_DATA_DIR"), "nats.url"))
	ts.Check(err)
	nc, err := nats.Connect(strings.TrimSpace(url), nats.RetryOnFailedConnect(true), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	ts.Check(err)
	ts.Check(nc.FlushTimeout(10 * time.Second))
	return nc
}

// letters prints the reason and the error of each dead letter on a topic: letters TOPIC FILE.
func letters(ts *testscript.TestScript, _ bool, args []string) {
	nc := connect(ts)
	defer nc.Close()
	b, err := natsbus.New(nc, nil)
	ts.Check(err)
	defer b.Close()
	s, err := b.Subscribe(context.Background(), args[0], "test", &bus.SubscribeOptions{})
	ts.Check(err)
	defer func() { ts.Check(s.Close(context.Background())) }()
	ds, err := s.Fetch(context.Background(), 10)
	ts.Check(err)
	var out strings.Builder
	for _, d := range ds {
		l, err := consumer.ParseLetter(d.Event)
		ts.Check(err)
		fmt.Fprintf(&out, "id=%q attempts=%d reason=%s error=%s\n", l.Event.ID, l.Attempts, l.Reason, l.Error)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o600))
}

// long writes a line of so many bytes: long FILE BYTES.
func long(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(strings.Repeat("x", n) + "\n")
	ts.Check(err)
	ts.Check(f.Close())
}

// countLines checks how many lines a file has: lines FILE COUNT.
func countLines(ts *testscript.TestScript, _ bool, args []string) {
	data := ts.ReadFile(args[0])
	if n := strconv.Itoa(strings.Count(data, "\n")); n != args[1] {
		ts.Fatalf("%s has %s lines, want %s:\n%s", args[0], n, args[1], data)
	}
}

// waitFile waits until a file has something: waitFile FILE.
func waitFile(ts *testscript.TestScript, _ bool, args []string) {
	_, err := waitForFile(ts.MkAbs(args[0]))
	ts.Check(err)
}

// waitForFile waits for a file that is not empty, for which there is no signal.
func waitForFile(name string) (string, error) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(name)
		if err == nil && len(data) > 0 {
			return string(data), nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("%s does not come: %w", name, err)
		}
	}
}
