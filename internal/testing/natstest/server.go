package natstest

import (
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const ready = 20 * time.Second

// Server is a server on a store directory of its own. It ends with the test. Its methods are for
// one caller at a time.
type Server struct {
	options server.Options
	running *server.Server
}

// Start starts a server on a free port of the loopback interface. configure, if not nil, may
// change its options.
func Start(t testing.TB, configure func(*server.Options)) *Server {
	t.Helper()
	s := &Server{options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: filepath.Join(t.TempDir(), "store"),
	}}
	if configure != nil {
		configure(&s.options)
	}
	t.Cleanup(s.stop)
	s.Start(t)
	return s
}

// Start starts a server that was stopped, on the same port and store.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.launch(t)
	s.await(t)
}

func (s *Server) launch(t testing.TB) {
	t.Helper()
	options := s.options
	running, err := server.NewServer(&options)
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	running.Start()
	s.running = running
}

func (s *Server) await(t testing.TB) {
	t.Helper()
	if !s.running.ReadyForConnections(ready) {
		t.Fatalf("natstest: the server was not ready after %v", ready)
	}
	if addr, ok := s.running.Addr().(*net.TCPAddr); ok {
		s.options.Port = addr.Port
	}
}

// Addr is the server's host and port.
func (s *Server) Addr() string { return net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port)) }

// Stop stops the server in order.
func (s *Server) Stop() { s.stop() }

func (s *Server) stop() {
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
		s.running = nil
	}
}

// Configure changes the options of a server that is stopped, for its next start.
func (s *Server) Configure(configure func(*server.Options)) { configure(&s.options) }

// Kill stops the server as SIGKILL would: what it does in order to stop leaves no trace
// in its store.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	found := s.Copy(t)
	s.stop()
	s.Restore(t, found)
}

// Copy copies the store, and returns where to. Of a server that runs it is what a crash at this
// moment might leave.
func (s *Server) Copy(t testing.TB) string { t.Helper(); return copyStore(t, s.options.StoreDir) }

// Restore puts a copy in the place of the store. The server must be stopped.
func (s *Server) Restore(t testing.TB, from string) {
	t.Helper()
	restoreStore(t, s.options.StoreDir, from)
}

// URL is where clients connect. It stays the same when the server is started again.
func (s *Server) URL() string { return "nats://" + s.Addr() }

// Subscriptions is how many subscriptions the server's clients have, with those of its own.
func (s *Server) Subscriptions() int { return int(s.running.NumSubscriptions()) }

// Connect opens a connection that reconnects quickly and for ever, and is closed with the test.
func (s *Server) Connect(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return Connect(t, s.URL(), options...)
}

// Connect opens a connection that reconnects quickly and for ever, and is closed with the test.
func Connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	all := append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.Timeout(2 * time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // The default one prints.
	}, options...)
	nc, err := nats.Connect(url, all...)
	if err != nil {
		t.Fatalf("natstest: connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}
