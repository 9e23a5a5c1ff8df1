package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/plaintext"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/schema"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	exechandler "github.com/onceish/onceish/worker/handlers/exec"
	httphandler "github.com/onceish/onceish/worker/handlers/http"
	loghandler "github.com/onceish/onceish/worker/handlers/log"
	"github.com/onceish/onceish/worker/handlers/publish"
)

// workerBuilder adds to a worker what a file says.
type workerBuilder struct {
	worker         *worker.Worker
	stdout, stderr io.Writer
	drain          time.Duration
	outbox         *worker.Outbox      // nil: the file has none
	reaper         *exechandler.Reaper // of all commands; nil: there are none yet
	env            []string            // of commands, beside this process's
	plaintext      plaintext.Policy    // for endpoints without TLS
	schemas        *schema.Registry    // nil: no subscription checks events
	// transport is httphandler.Options.Transport.
	transport func(http.RoundTripper) http.RoundTripper
	// watch wraps handlers. Nil: nobody watches.
	watch func(*config.Subscription, consumer.Handler, *consumer.Options) consumer.Handler
}

// addConfigured adds everything that a file says.
func (s *workerBuilder) addConfigured(ctx context.Context, c *config.Config) error {
	if err := s.drainOutbox(ctx, c.Outbox); err != nil {
		return err
	}
	if err := s.openSchemas(ctx, c); err != nil {
		return err
	}
	for i := range c.Subscriptions {
		if err := s.addSubscription(ctx, &c.Subscriptions[i]); err != nil {
			return err
		}
	}
	return nil
}

// drainOutbox publishes what is in the outbox, if there is one.
func (s *workerBuilder) drainOutbox(ctx context.Context, c *config.Outbox) (err error) {
	if c == nil {
		return nil
	}
	if s.outbox, err = s.worker.Outbox(ctx, c.Collection, &mongooutbox.Options{Keep: c.Retention}); err != nil {
		return err
	}
	_, err = s.worker.AddDrainer(s.outbox, c.Options())
	return err
}

// addSubscription adds a subscription. What belongs to its handler runs beside it, and is
// closed after it.
func (s *workerBuilder) addSubscription(ctx context.Context, c *config.Subscription) error {
	o, err := s.worker.ConfiguredOptions(ctx, c)
	if err != nil {
		return err
	}
	if err := s.checkEvents(c, o); err != nil {
		return err
	}
	h, err := s.newHandler(ctx, c)
	if err != nil {
		return fmt.Errorf("the handler of %q: %w", c.Topic, err)
	}
	if s.watch != nil {
		h = s.watch(c, h, o)
	}
	if c.Defer == nil {
		s.worker.Handle(c.Topic, h, o)
		return nil
	}
	d, err := s.newDeferral(ctx, c, h)
	if err != nil {
		return err
	}
	s.worker.HandleDeferred(c.Topic, h, o, d)
	return nil
}

// newDeferral makes what the file says of the events beyond a limit. single handles an event.
func (s *workerBuilder) newDeferral(ctx context.Context, c *config.Subscription, single consumer.Handler) (worker.Deferral, error) {
	if c.Defer.Handler == nil {
		return s.worker.ConfiguredDeferral(ctx, c, single, nil)
	}
	of := *c
	of.Topic, of.Handler = c.Defer.Topic, *c.Defer.Handler
	summaries, err := s.newHandler(ctx, &of)
	if err != nil {
		return worker.Deferral{}, fmt.Errorf("the handler of the summaries of %q: %w", c.Topic, err)
	}
	return s.worker.ConfiguredDeferral(ctx, c, single, summaries)
}

// newHandler makes what the file names.
func (s *workerBuilder) newHandler(ctx context.Context, c *config.Subscription) (consumer.Handler, error) {
	w := s.worker
	switch h := c.Handler; {
	case h.Exec != nil:
		return s.newCommandHandler(c)
	case h.HTTP != nil:
		x, err := s.newHTTPHandler(h.HTTP, c)
		if err != nil {
			return nil, err
		}
		w.Defer(x.Close)
		if h.HTTP.Batch != nil {
			return consumer.Batch(x.HandleBatch, h.HTTP.Batch.Options()), nil
		}
		return x.Handle, nil
	case h.Publish != nil:
		if _, err := w.Bus().Topic(ctx, h.Publish.Topic, "", bus.Start{}); err != nil { // better now than with every event
			return nil, err
		}
		x, err := s.newPublishHandler(h.Publish, c.Mode)
		if err != nil {
			return nil, err
		}
		return x.Handle, nil
	case h.Project != nil:
		p, err := w.Connections().StartProjection(ctx, w.Group(), c)
		if err != nil {
			return nil, err
		}
		return consumer.Batch(p.HandleBatch, h.Project.BatchOptions(c.Concurrency.Max)), nil
	case h.Log != nil:
		return loghandler.New(w.Logger(), &loghandler.Options{Level: h.Log.Level, Data: h.Log.Data}).Handle, nil
	default:
		return nil, fmt.Errorf("the handler of %q has a key that this program does not know", c.Topic)
	}
}

func (s *workerBuilder) newHTTPHandler(h *config.HTTPHandler, c *config.Subscription) (*httphandler.Handler, error) {
	if err := s.checkEncryption(h.URL, c.Topic); err != nil {
		return nil, err
	}
	files, err := worker.TLSFiles(h.TLS).Config()
	if err != nil {
		return nil, err
	}
	return httphandler.New(s.worker.Group(), h.URL, &httphandler.Options{
		Timeout: h.Timeout, Statuses: h.Statuses, Headers: httpHeaders(h.Headers), PassHeaders: h.PassHeaders,
		Concurrency: c.Concurrency.Max, TLS: files, SigningSecrets: h.Signing.Secrets, SigningSecretFiles: h.Signing.Files,
		Addresses: h.Addresses, OnGone: s.worker.PauseWhenGone(c.Topic), Transport: s.transport,
	})
}

// checkEncryption warns of, or refuses, an endpoint elsewhere that has no TLS.
func (s *workerBuilder) checkEncryption(endpoint, topic string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" {
		return nil //nolint:nilerr // the handler says what is wrong with it
	}
	err = s.plaintext.Check(&plaintext.Peer{
		Name: "the endpoint of " + topic, Address: u.Scheme + "://" + u.Host, Hosts: []string{u.Hostname()}, Advice: "write https:// in its handler",
	})
	if err != nil {
		return fmt.Errorf("%w: %w", worker.ErrUsage, err)
	}
	return nil
}

func (s *workerBuilder) newPublishHandler(h *config.PublishHandler, mode consumer.Mode) (*publish.Handler, error) {
	switch {
	case mode == consumer.Transactional:
		return publish.NewTransacted(s.outbox, h.Topic)
	case h.Outbox:
		return publish.NewOutbox(s.outbox, h.Topic)
	}
	return publish.New(s.worker.Publisher(), h.Topic)
}

// commandHandler is a handler that runs commands.
type commandHandler interface {
	Handle(ctx context.Context, e bus.Event) error
	Actor() (run func() error, stop func(error))
	Close() error
}

func (s *workerBuilder) newCommandHandler(c *config.Subscription) (consumer.Handler, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.reapOrphans()
	o := &exechandler.Options{
		Guard: []string{self, guardCommand}, Env: append(os.Environ(), s.env...), Stdout: s.stdout, Stderr: s.stderr, Drain: s.drain, Reaper: s.reaper, Logger: s.worker.Logger(),
	}
	var x commandHandler
	if c.Handler.Exec.Mode == "stream" {
		x, err = exechandler.NewStream(s.worker.Group(), c.Handler.Exec.Command, o)
	} else {
		s.warnOfFewFiles(c)
		x, err = exechandler.New(s.worker.Group(), c.Handler.Exec.Command, o)
	}
	if err != nil {
		return nil, err
	}
	s.worker.Defer(x.Close)
	a := worker.Actor{Name: "commands for " + c.Topic}
	a.Run, a.Stop = x.Actor()
	s.worker.Add(a)
	if stream, ok := x.(*exechandler.Stream); ok && c.Handler.Exec.Batch != nil {
		return consumer.Batch(stream.HandleBatch, c.Handler.Exec.Batch.Options()), nil
	}
	return x.Handle, nil
}

// reapOrphans waits for what commands leave behind: all that this process starts is
// started by them.
func (s *workerBuilder) reapOrphans() {
	if s.reaper != nil {
		return
	}
	var err error
	if s.reaper, err = exechandler.StartReaper(s.worker.Logger()); err != nil {
		s.worker.Logger().Warn("what commands leave behind is not waited for: in a container, run an init as its first process", "error", err)
		return
	}
	s.worker.Defer(s.reaper.Close)
}

// Files that a run keeps open at most, and that a worker has open beside.
const (
	filesOfRun    = 6
	filesOfWorker = 100
)

// warnOfFewFiles tells of a concurrency that this process cannot reach.
func (s *workerBuilder) warnOfFewFiles(c *config.Subscription) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		s.worker.Logger().Warn("the limit on open files is not known", "error", err)
		return
	}
	if need := uint64(c.Concurrency.Max)*filesOfRun + filesOfWorker; limit.Cur < need {
		s.worker.Logger().Warn("too few open files are allowed for so many commands at once: raise the limit (ulimit -n, LimitNOFILE=), or lower concurrency",
			"topic", c.Topic, "concurrency", c.Concurrency.Max, "limit", limit.Cur, "needed", need)
	}
}

func httpHeaders(of map[string]string) http.Header {
	h := make(http.Header, len(of))
	for name, value := range of {
		h.Set(name, value)
	}
	return h
}
