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

// Server is the server of a data directory: in this process, or in another one that it has joined.
// Its methods are safe for concurrent use.
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
	// patience is how long a process that holds the lock may take to serve: it may have
	// much to recover.
	patience = 30 * time.Second
	// again is how often the lock is tried.
	again = 100 * time.Millisecond
)

// longestPath is how long the path of a data directory may be, in bytes: streams and consumers have
// long names below it, and the system takes 4,096.
const longestPath = 3_000

// Open serves the directory, which it makes if it is not there, or joins the process that
// does. It blocks until somebody serves, or has not for 30 s. The caller closes it after all
// its connections.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Server, error) {
	dir, err := prepare(dir)
	if err != nil {
		return nil, err
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

// prepare makes the directory, and returns its absolute path.
func prepare(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("the data directory has no name: choose a --data-dir")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data directory %s: %w: choose a --data-dir that does not depend on where the process runs", dir, err)
	}
	if len(abs) > longestPath {
		return "", fmt.Errorf("data directory %.64s…: its path has %d bytes, and may have %d: choose a shorter --data-dir", abs, len(abs), longestPath)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil { //nolint:gosec,nolintlint // the user names the directory; the linter sees that now and then
		return "", unusable(abs, err)
	}
	return abs, nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("data directory %s: %w: this process must be able to write there: give it the permission and the space, or choose another --data-dir", dir, err)
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

// serve starts the server unless another process holds the lock. Of a server that others are
// connected to, only its own address will do.
func (s *Server) serve(anywhere bool) (bool, error) {
	l, err := tryLock(filepath.Join(s.dir, "lock"))
	if err != nil {
		return false, unusable(s.dir, err)
	}
	if l == nil {
		return false, nil
	}
	own, at, err := start(s.dir, s.log, anywhere)
	if err != nil {
		return false, errors.Join(unusable(s.dir, err), l.release())
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

// Serving reports whether the server is in this process.
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
