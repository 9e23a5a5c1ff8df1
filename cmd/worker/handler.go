package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/handlers"
)

// subscribe adds a subscription to a worker. What belongs to its handler runs beside it, and is closed after it.
func subscribe(ctx context.Context, w *worker.Worker, c *config.Subscription, stdout, stderr io.Writer, drain time.Duration) error {
	o, err := c.Options()
	if err != nil {
		return err
	}
	s := &subscriber{worker: w, stdout: stdout, stderr: stderr, drain: drain}
	h, err := s.handler(ctx, c)
	if err != nil {
		return fmt.Errorf("the handler of %q: %w", c.Topic, err)
	}
	w.Handle(c.Topic, h, o)
	return nil
}

// subscriber makes handlers.
type subscriber struct {
	worker         *worker.Worker
	stdout, stderr io.Writer
	drain          time.Duration
}

// handler makes what the file names.
func (s *subscriber) handler(ctx context.Context, c *config.Subscription) (consumer.Handler, error) {
	w := s.worker
	switch h := c.Handler; {
	case h.Exec != nil:
		return s.command(c)
	case h.HTTP != nil:
		x, err := handlers.NewHTTP(w.Group(), h.HTTP.URL, &handlers.HTTPOptions{Timeout: h.HTTP.Timeout, Headers: headers(h.HTTP.Headers), Concurrency: c.Concurrency})
		if err != nil {
			return nil, err
		}
		w.Defer(x.Close)
		return x.Handle, nil
	case h.Publish != nil:
		if _, err := w.Bus().Topic(ctx, h.Publish.Topic, "", bus.Start{}); err != nil { // better now than with every event
			return nil, err
		}
		x, err := handlers.NewPublish(w.Bus(), h.Publish.Topic)
		if err != nil {
			return nil, err
		}
		return x.Handle, nil
	default:
		return handlers.NewLog(w.Logger(), &handlers.LogOptions{Level: h.Log.Level, Data: h.Log.Data}).Handle, nil
	}
}

// commands is a handler that runs commands.
type commands interface {
	Handle(ctx context.Context, e bus.Event) error
	Actor() (run func() error, stop func(error))
	Close() error
}

func (s *subscriber) command(c *config.Subscription) (consumer.Handler, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	guard := []string{self, guardCommand}
	var x commands
	if c.Handler.Exec.Mode == "stream" {
		x, err = handlers.NewStream(s.worker.Group(), c.Handler.Exec.Command, &handlers.StreamOptions{Guard: guard, Env: os.Environ(), Stderr: s.stderr, Drain: s.drain})
	} else {
		x, err = handlers.NewExec(s.worker.Group(), c.Handler.Exec.Command, &handlers.ExecOptions{Guard: guard, Env: os.Environ(), Stdout: s.stdout, Stderr: s.stderr, Drain: s.drain})
	}
	if err != nil {
		return nil, err
	}
	s.worker.Defer(x.Close)
	a := worker.Actor{Name: "commands for " + c.Topic}
	a.Run, a.Stop = x.Actor()
	s.worker.Add(a)
	return x.Handle, nil
}

func headers(of map[string]string) http.Header {
	h := make(http.Header, len(of))
	for name, value := range of {
		h.Set(name, value)
	}
	return h
}
