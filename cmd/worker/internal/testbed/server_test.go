package testbed_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

func startServer(t *testing.T, dir string) (*testbed.Server, error) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return testbed.StartServer(ctx, []string{os.Args[0], serve}, dir, log)
}

// TestKilledServerKeepsItsDataAndURL when it is started again.
func TestKilledServerKeepsItsDataAndURL(t *testing.T) {
	t.Parallel()
	s, err := startServer(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	url, pid := s.URL(), s.PID()
	withStream(t, url, func(js jetstream.JetStream) error {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Storage: jetstream.FileStorage})
		if err == nil {
			_, err = js.Publish(t.Context(), "orders", []byte("1"))
		}
		return err
	})
	if k := s.Kill(); k.PID != pid || k.Gone.Before(k.Sent) {
		t.Errorf("%+v, want process %d", k, pid)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.URL() != url || s.PID() == pid {
		t.Errorf("%s, process %d, after %s, process %d", s.URL(), s.PID(), url, pid)
	}
	withStream(t, url, func(js jetstream.JetStream) error {
		stream, err := js.Stream(t.Context(), "orders")
		if err == nil && stream.CachedInfo().State.Msgs != 1 {
			t.Errorf("%+v", stream.CachedInfo().State)
		}
		return err
	})
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func withStream(t *testing.T, url string, f func(jetstream.JetStream) error) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := f(js); err != nil {
		t.Fatal(err)
	}
}

func TestServerThatCannotStartSaysWhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := startServer(t, file); err == nil || !strings.Contains(err.Error(), "start a NATS server in "+file) {
		t.Errorf("%v", err)
	}
}

func TestAssignmentThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "{}", "no JSON\n", `{"name":"a b"}` + "\n"} {
		if _, err := testbed.ReadAssignment(t.Context(), strings.NewReader(in), &testbed.Bed{}); err == nil {
			t.Errorf("%q is an assignment", in)
		}
	}
	if err := testbed.Serve(t.Context(), strings.NewReader(""), nil, nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A frozen process does nothing, and can be thawed and killed.
func TestFrozenServerAnswersWhenItIsThawed(t *testing.T) {
	t.Parallel()
	pool := &testbed.Pool{Command: []string{os.Args[0], serve}}
	p, err := pool.Start(dirAssignment{t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.KillAll()
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- p.Drain(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-drained:
		t.Fatalf("a frozen process has drained: %v", err)
	case <-ctx.Done():
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	pool.Remove(p)
	if n := len(pool.Processes()); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

type dirAssignment struct {
	Dir string `json:"dir"`
}

func (dirAssignment) Validate() error { return nil }
