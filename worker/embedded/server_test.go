package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// TestMain is also a process that serves a directory until it is killed.
func TestMain(m *testing.M) {
	if len(os.Args) >= 3 && os.Args[1] == "serve" {
		limitFiles(os.Args[3:])
		s, err := Open(context.Background(), os.Args[2], slog.New(slog.DiscardHandler))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.Serving())
		select {}
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		nc.Close()
		<-closed
	})
	return nc
}

func TestSecondProcessJoins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	if !first.Serving() || second.Serving() || first.URL() != second.URL() {
		t.Errorf("serving: %v and %v, at %s and %s", first.Serving(), second.Serving(), first.URL(), second.URL())
	}
	if _, err := connect(t, second.URL()).RTT(); err != nil {
		t.Error(err)
	}
}

func TestOneOfManyServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	servers := make([]*Server, 8)
	var opening sync.WaitGroup
	for i := range servers {
		opening.Go(func() {
			s, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
			}
			servers[i] = s
		})
	}
	opening.Wait()
	serving := 0
	for _, s := range servers {
		if s.Serving() {
			serving++
		}
		if s.URL() != servers[0].URL() {
			t.Errorf("two servers: %s and %s", s.URL(), servers[0].URL())
		}
	}
	if serving != 1 {
		t.Errorf("%d serve", serving)
	}
	for _, s := range servers {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnotherTakesOverFromAKilledProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := serve(t, dir)
	survivor := open(t, dir)
	back := make(chan struct{}, 1)
	nc := connect(t, survivor.URL(), nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	victim.kill()
	select {
	case <-back:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody took over")
	}
	if !survivor.Serving() {
		t.Error("somebody else took over")
	}
	msg, err := stream.GetMsg(t.Context(), 1)
	if err != nil || string(msg.Data) != "kept" {
		t.Errorf("what was confirmed is lost: %v, %v", msg, err)
	}
}

func TestPasswordIsAskedForAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "directory")
	s := open(t, dir)
	for _, url := range []string{strings.Replace(s.URL(), ":"+s.at.password, ":wrong", 1), strings.Replace(s.URL(), "onceish:"+s.at.password+"@", "", 1)} {
		if nc, err := nats.Connect(url); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v, want %v", url, err, nats.ErrAuthorization)
			nc.Close()
		}
	}
	for name, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, filepath.Join(dir, urlFile): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if !strings.Contains(s.URL(), "@127.0.0.1:") {
		t.Errorf("listens at %s", s.URL())
	}
}

func TestAddressOutlivesTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := open(t, dir)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir)
	if before.URL() != after.URL() {
		t.Errorf("moved from %s to %s", before.URL(), after.URL())
	}
}

func TestServesElsewhereWhenThePortIsTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := address{port: l.Addr().(*net.TCPAddr).Port, password: "p"}
	if err := taken.write(dir); err != nil {
		t.Fatal(err)
	}
	if s := open(t, dir); s.URL() == taken.String() {
		t.Errorf("serves at %s", s.URL())
	}
}

func TestHolderThatDoesNotServeIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := tryLock(filepath.Join(dir, "lock"))
	if err != nil || l == nil {
		t.Fatal(l, err)
	}
	defer func() { _ = l.release() }()
	stale := address{port: 1, password: "p"}
	if err := stale.write(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errNobody)
	defer cancel()
	if _, err := Open(ctx, dir, slog.New(slog.DiscardHandler)); !errors.Is(err, errNobody) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want %v for %s", err, errNobody, dir)
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("nats://onceish:secret@127.0.0.1:4222")
	f.Add("nats://onceish:secret@evil.example:4222")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err == nil && (a.String() != s || !strings.HasPrefix(s, "nats://onceish:") || !strings.Contains(s, "@127.0.0.1:")) {
			t.Errorf("%q was read as %q", s, a)
		}
	})
}
