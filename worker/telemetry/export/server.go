package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/onceish/onceish/internal/tcplisten"
	"github.com/onceish/onceish/worker"
)

// What connections may take.
const (
	readHeader     = 5 * time.Second
	readRequest    = 5 * time.Second
	writeAnswer    = 15 * time.Second
	idleConnection = 2 * time.Minute // a scrape interval, and more
	maxHeaderBytes = 16 << 10
	closeServer    = time.Second
)

// server serves metrics at an address. It answers until it is closed, so that a worker that drains
// can be watched.
type server struct {
	listener net.Listener
	http     *http.Server
	log      *slog.Logger
	served   chan error // the end of the HTTP server
	stopped  chan struct{}
	stop     sync.Once
	start    sync.Once
}

// newServer opens the address. Nothing is answered before the server runs.
func newServer(ctx context.Context, address string, metrics http.Handler, log *slog.Logger) (*server, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("the address %q: it must be HOST:PORT, such as %s: %w", address, DefaultAddress, err)
	}
	l, err := tcplisten.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	return &server{
		listener: l, log: log, served: make(chan error, 1), stopped: make(chan struct{}),
		http: &http.Server{
			Handler: onlyMetrics(metrics), ReadHeaderTimeout: readHeader, ReadTimeout: readRequest, WriteTimeout: writeAnswer,
			IdleTimeout: idleConnection, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}, nil
}

// onlyMetrics answers GET /metrics alone.
func onlyMetrics(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return mux
}

// url is where the metrics are.
func (s *server) url() string { return "http://" + s.listener.Addr().String() + "/metrics" }

// actor serves while the worker runs.
func (s *server) actor() worker.Actor {
	return worker.Actor{
		Name: "metrics",
		Run: func() error {
			s.startServing()
			s.log.Info("metrics", "url", s.url())
			select {
			case <-s.stopped:
				return nil
			case err := <-s.served:
				s.served <- err // for close
				return fmt.Errorf("metrics: %w", err)
			}
		},
		Stop: func(error) { s.stop.Do(func() { close(s.stopped) }) },
	}
}

// startServing starts the HTTP server, whose end close waits for.
func (s *server) startServing() {
	s.start.Do(func() {
		go func() { s.served <- s.http.Serve(s.listener) }()
	})
}

// close stops answering. Scrapes have a second to end, and are cut off then.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeServer)
	defer cancel()
	s.startServing() // also where it never ran: it closes the listener then
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
