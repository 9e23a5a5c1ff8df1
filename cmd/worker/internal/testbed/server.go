package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/worker/embedded"
)

// Server is a NATS server of this program's own in a process of its own. It is for one goroutine.
type Server struct {
	command []string
	dir     string
	log     *os.File
	process *Process
	url     string
}

// serverAssignment is what the process of a server is told.
type serverAssignment struct {
	Dir string `json:"dir"`
}

// Validate implements Assignment.
func (a *serverAssignment) Validate() error {
	if a.Dir == "" {
		return errors.New("the directory of the server is empty")
	}
	return nil
}

// StartServer starts a server that keeps its data in dir, for this machine only. Command is the
// program, and its arguments, that comes to call Serve with its standard input and output. It
// returns once the server answers. Stop ends it; it also ends with this process.
func StartServer(ctx context.Context, command []string, dir string, log *os.File) (*Server, error) {
	s := &Server{command: command, dir: dir, log: log}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is what to connect to, password included. It stays the same over restarts.
func (s *Server) URL() string { return s.url }

// PID is the process id, another one after each restart.
func (s *Server) PID() int { return s.process.PID() }

// CheckAlive returns an error if the process has ended.
func (s *Server) CheckAlive() error {
	select {
	case <-s.process.ended:
		return errors.Join(fmt.Errorf("process %d of the NATS server in %s has ended", s.PID(), s.dir), s.process.CheckEnded())
	default:
		return nil
	}
}

// Kill ends the server by SIGKILL.
func (s *Server) Kill() journal.Kill { return s.process.Kill() }

// Restart starts a server that was killed on the same data, and returns once it answers.
func (s *Server) Restart(ctx context.Context) error { return s.start(ctx) }

// Stop lets the server end in order, or kills it when ctx ends before.
func (s *Server) Stop(ctx context.Context) error { return s.process.Drain(ctx) }

func (s *Server) start(ctx context.Context) error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	s.process, err = startProcess(s.command, &serverAssignment{s.dir}, in, s.log)
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { s.process.Kill() })
	defer stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.process.Kill()
		return fmt.Errorf("start a NATS server in %s: %w", s.dir, errors.Join(context.Cause(ctx), s.process.CheckEnded(), err))
	}
	s.url = strings.TrimSpace(line)
	return nil
}

// Serve is what a process does that StartServer has started: it serves until it is told to end.
func Serve(ctx context.Context, in io.Reader, out, log io.Writer) error {
	var a serverAssignment
	ctx, err := ReadAssignment(ctx, in, &a)
	if err != nil {
		return err
	}
	s, err := embedded.Open(ctx, a.Dir, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, s.URL()); err != nil {
		return errors.Join(err, s.Close())
	}
	<-ctx.Done()
	return s.Close()
}
