package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is the server of a data directory: in this process, or in another one that it has joined. Its methods are safe for concurrent use.
type Server struct {
	dir    string
	log    *slog.Logger
	at     address
	cancel context.CancelFunc
	done   chan struct{} // closed when nobody tries to take over any more

	mu   sync.Mutex
	own  *server.Server // nil: another process serves
	lock *lock
}

const (
	// patience is how long a process that holds the lock may take to serve: it may have much to recover.
	patience = 30 * time.Second
	// again is how often the lock is tried.
	again = 100 * time.Millisecond
)

// Open serves the directory, which it makes if it is not there, or joins the process that does. It blocks until somebody serves. The
// caller closes it after all its connections.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec,nolintlint // the user names the directory; the linter sees that now and then
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s := &Server{dir: dir, log: log, done: make(chan struct{})}
	patient, cancel := context.WithTimeoutCause(ctx, patience, errNobody)
	defer cancel()
	if err := s.serveOrJoin(patient); err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.takeOver(ctx)
	return s, nil
}

var errNobody = errors.New("another process holds the lock, but does not serve")

func (s *Server) serveOrJoin(ctx context.Context) error {
	for {
		served, err := s.serve(true)
		if err != nil || served {
			return err
		}
		if s.at, err = readAddress(s.dir); err == nil {
			if err = s.at.probe(ctx); err == nil {
				return nil
			}
		}
		if !rest(ctx, again) {
			return fmt.Errorf("data directory %s: %w (%v): end that process, or choose another --data-dir", s.dir, context.Cause(ctx), err) //nolint:errorlint // one cause is enough
		}
	}
}

// serve starts the server unless another process holds the lock. Of a server that others are connected to, only its own address will do.
func (s *Server) serve(anywhere bool) (bool, error) {
	l, err := tryLock(filepath.Join(s.dir, "lock"))
	if err != nil || l == nil {
		return false, err
	}
	own, at, err := start(s.dir, s.log, anywhere)
	if err != nil {
		return false, errors.Join(fmt.Errorf("embedded NATS server over %s: %w", s.dir, err), l.release())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own, s.lock, s.at = own, l, at
	return true, nil
}

// takeOver serves once the process that did has ended.
func (s *Server) takeOver(ctx context.Context) {
	defer close(s.done)
	for !s.Serving() && rest(ctx, again) {
		served, err := s.serve(false)
		switch {
		case err != nil:
			s.log.Error("the process that served the data directory has ended, and this one cannot take over: trying again", "error", err)
			rest(ctx, time.Second)
		case served:
			s.log.Info("the process that served the data directory has ended: serving it from here", "data_dir", s.dir)
		}
	}
}

// URL is what clients connect to, password included.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at.String()
}

// Serving tells whether the server is in this process.
func (s *Server) Serving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own != nil
}

// Close ends the server if it is in this process. Repeated calls do nothing.
func (s *Server) Close() error {
	s.cancel()
	<-s.done
	s.mu.Lock()
	own, l := s.own, s.lock
	s.lock = nil
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	own.Shutdown()
	own.WaitForShutdown()
	return l.release()
}

func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
