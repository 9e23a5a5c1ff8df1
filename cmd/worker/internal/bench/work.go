package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/outbox"
)

// reportEvery is how often a worker reports its status.
const reportEvery = 20 * time.Millisecond

// Work is what a process does that Run has started, with its standard input, output and error. It
// consumes from when it is told to begin until it is told to end, and leaves what it has counted in
// a file. If the input ends before, Run's process has died, and this one kills itself by SIGKILL.
func Work(ctx context.Context, in io.Reader, out, log io.Writer) (err error) {
	var a workerAssignment
	ctx, begun, err := testbed.ReadAssignmentAndWait(ctx, in, &a)
	if err != nil {
		return err
	}
	logger := workLogger(log)
	conns, err := a.Connect(ctx, leaseLength, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conns.Close()) }()
	s, err := openServers(ctx, conns)
	if err != nil {
		return err
	}
	if a.Stage == StageOutbox {
		if s.queue, err = conns.Outbox(ctx, a.outboxName(), nil); err != nil {
			return err
		}
	}
	t, err := runWorker(ctx, &a.cell, s, begun, newStatusWriter(out).write, logger)
	if err != nil {
		return err
	}
	return writeTally(a.File, t)
}

func workLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// servers are what a measurement uses.
type servers struct {
	bus   bus.Bus
	store dedupe.Store
	js    jetstream.JetStream // nil: the bus is in memory
	queue outbox.Queue        // nil but in the stage outbox
}

func openServers(ctx context.Context, c *testbed.Connections) (*servers, error) {
	store, err := c.Store(ctx)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(c.NATS())
	if err != nil {
		return nil, err
	}
	return &servers{bus: c.Bus(), store: store, js: js}, nil
}

// benchWorker consumes the events of a measurement.
type benchWorker struct {
	*recorder

	servers *servers
	log     *slog.Logger
	// subscribed is called once events are consumed.
	subscribed func()
}

// runWorker consumes from when begun is closed until ctx ends, and returns what was counted.
func runWorker(ctx context.Context, c *cell, s *servers, begun <-chan struct{}, report func(workerStatus) error, log *slog.Logger) (*tally, error) {
	w := &benchWorker{recorder: newRecorder(c), servers: s, log: log, subscribed: func() {}}
	if err := report(workerStatus{Phase: phaseReady}); err != nil {
		return nil, err
	}
	select {
	case <-begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	subscribed, ended := make(chan struct{}), make(chan error, 1)
	w.subscribed = func() { close(subscribed) }
	go func() { ended <- w.consumeEvents(ctx) }()
	select {
	case <-subscribed:
	case err := <-ended:
		return nil, err
	}
	if err := w.reportUntil(ended, report); err != nil {
		return nil, err
	}
	t, err := w.result()
	return &t, err
}

// reportUntil reports how far the worker is until it has ended.
func (w *benchWorker) reportUntil(ended <-chan error, report func(workerStatus) error) error {
	again := time.NewTicker(reportEvery)
	defer again.Stop()
	var reported error
	for {
		if reported == nil {
			reported = report(workerStatus{Phase: phaseConsuming, Done: w.done.Load(), Answers: w.answers.Load()})
		}
		select {
		case <-again.C:
		case err := <-ended:
			return errors.Join(err, reported)
		}
	}
}

// consumeEvents blocks until ctx ends and everything that was begun has ended.
func (w *benchWorker) consumeEvents(ctx context.Context) error {
	switch {
	case w.cell.Stage == StageOutbox:
		return w.drainOutbox(ctx)
	case w.cell.isBaseline():
		return w.consumePlain(ctx)
	case w.cell.Stage == StageConsume:
		return w.consumeSource(ctx)
	}
	return w.handleOnce(ctx)
}
