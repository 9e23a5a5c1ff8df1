package http

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func newHTTP(t testing.TB, endpoint string, o *Options) *Handler {
	t.Helper()
	h, err := New("billing", endpoint, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// serve answers requests with f, and returns where.
func serve(t testing.TB, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// raw gives each connection's first request to f, and closes the connection when f returns. closed
// is done when the client is gone.
func raw(t testing.TB, f func(c net.Conn, closed <-chan struct{})) (endpoint string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			serving.Go(func() { serveRaw(c, f) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return "http://" + l.Addr().String(), connections
}

func serveRaw(c net.Conn, f func(net.Conn, <-chan struct{})) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		_ = c.Close()
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, in)
	}()
	f(c, closed)
	_ = c.Close()
	<-closed
}

// tell answers with text, and closes.
func tell(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, _ <-chan struct{}) { _, _ = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")) }
}

// tellAndHang answers with text, and nothing more until the client is gone.
func tellAndHang(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, closed <-chan struct{}) {
		tell(text)(c, closed)
		<-closed
	}
}

// pipes is a network in memory, for tests in a bubble.
type pipes struct {
	accepting chan net.Conn
	closed    chan struct{}
}

func newPipes() *pipes { return &pipes{accepting: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepting <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepting:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func withUser(t testing.TB, endpoint, user, password, path string) string {
	t.Helper()
	u, err := url.Parse(endpoint + path)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}
