package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo starts a server that sends back what it reads, and a proxy to it.
func echo(t *testing.T) *proxy.Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := proxy.New(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		l.Close()
		<-done
	})
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if _, err := c.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string, within time.Duration) error {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	if err == nil && string(got) != want {
		t.Fatalf("heard %q; want %q", got, want)
	}
	return err
}

func TestPassesBothWays(t *testing.T) {
	p := echo(t)
	a, b := dial(t, p), dial(t, p)
	for range 3 {
		say(t, a, "ping")
		say(t, b, "pong")
		if err := errors.Join(hear(t, a, "ping", time.Second), hear(t, b, "pong", time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBlackholeKeepsAndReleases(t *testing.T) {
	for _, d := range []proxy.Direction{proxy.ToServer, proxy.ToClient} {
		p := echo(t)
		c := dial(t, p)
		p.Blackhole(d, true)
		say(t, c, "ping")
		if err := hear(t, c, "ping", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("direction %v: %v; want silence", d, err)
		}
		p.Blackhole(d, false)
		if err := hear(t, c, "ping", 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDelay(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	const by = 50 * time.Millisecond
	p.Delay(proxy.ToServer, by)
	p.Delay(proxy.ToClient, by)
	began := time.Now()
	say(t, c, "ping")
	if err := hear(t, c, "ping", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*by {
		t.Errorf("an echo took %v; want at least %v", took, 2*by)
	}
}

func TestCutAndReset(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*proxy.Proxy)
		want error
	}{
		{"cut", (*proxy.Proxy).Cut, io.EOF},
		{"reset", (*proxy.Proxy).Reset, syscall.ECONNRESET},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := echo(t)
			c := dial(t, p)
			say(t, c, "ping")
			if err := hear(t, c, "ping", 10*time.Second); err != nil {
				t.Fatal(err)
			}
			tt.do(p)
			if err := hear(t, c, "x", 10*time.Second); !errors.Is(err, tt.want) {
				t.Fatalf("read: %v; want %v", err, tt.want)
			}
			again := dial(t, p)
			say(t, again, "ping")
			if err := hear(t, again, "ping", 10*time.Second); err != nil {
				t.Fatalf("a new connection: %v", err)
			}
		})
	}
}

func TestCutInBlackhole(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	say(t, c, "ping")
	if err := hear(t, c, "ping", 10*time.Second); err != nil { // the proxy has the connection
		t.Fatal(err)
	}
	p.Blackhole(proxy.ToClient, true)
	say(t, c, "ping")
	p.Cut()
	if err := hear(t, c, "x", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v; want a closed connection", err)
	}
}

func TestRefuse(t *testing.T) {
	p := echo(t)
	p.Refuse(true)
	c := dial(t, p)
	if err := hear(t, c, "x", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v; want a closed connection", err)
	}
	p.Refuse(false)
	c = dial(t, p)
	say(t, c, "ping")
	if err := hear(t, c, "ping", 10*time.Second); err != nil {
		t.Fatal(err)
	}
}
