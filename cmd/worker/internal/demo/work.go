package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
)

// concurrency of a worker process: a kill repeats at most as many effects. It is the default.
const concurrency = 16

// leaseLength, of claims and of deliveries, is short, so that the events of a killed worker
// come back soon.
const leaseLength = 3 * time.Second

// Work is what a process does that Run has started, with its standard input and error. It returns
// when it was told to end and has drained. If the input ends before, Run's process has died, and
// this one kills itself by SIGKILL. When it fails by itself, a goroutine keeps reading: the process
// is to end then.
func Work(ctx context.Context, in io.Reader, log io.Writer) (err error) {
	var a workerAssignment
	ctx, err = testbed.ReadAssignment(ctx, in, &a)
	if err != nil {
		return err
	}
	logger := workLogger(log)
	s, err := a.connect(ctx, logger)
	if err != nil {
		return testbed.StartError(ctx, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return consumeUntilEnd(ctx, &a, s.Connections.Connections, s.effectFunc(), logger)
}

func workLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// consumeUntilEnd handles events until ctx ends.
func consumeUntilEnd(ctx context.Context, a *workerAssignment, c *worker.Connections, change effectFunc, log *slog.Logger) (err error) {
	j, err := journal.OpenWriter(a.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	w, err := worker.New(a.Name, c, &worker.Options{Logger: log})
	if err != nil {
		return err
	}
	h := &effectHandler{journal: j, seed: a.Seed, change: change}
	w.Handle(a.Topic(), h.handleEvent, &consumer.Options{
		Concurrency: concurrency, Lease: leaseLength, AckWait: leaseLength, MaxCrashes: a.Crashes, DeadLetter: a.DeadLetters(), Observer: h,
		Backoff: consumer.Backoff{Base: 50 * time.Millisecond, Max: time.Second}, RunLimit: 10 * time.Second, Drain: 5 * time.Second,
	})
	return errors.Join(w.Run(ctx), h.err)
}

// effectHandler makes effects, and takes as long for it as a call to another service might.
type effectHandler struct {
	journal *journal.Writer
	seed    uint64
	change  effectFunc // nil: the effect is its line in the journal
	err     error      // the first of Observe; to be read when nothing is observed any more
}

var _ consumer.Observer = (*effectHandler)(nil)

func (h *effectHandler) handleEvent(ctx context.Context, e bus.Event) error {
	n := consumer.AttemptFrom(ctx).Number
	takes, fails := runFate(h.seed, e.ID, n)
	call := time.NewTimer(takes)
	defer call.Stop()
	select {
	case <-call.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if fails {
		return errors.Join(fmt.Errorf("attempt %d fails, as it does now and then", n), h.journal.Write(journal.Failed, e.ID))
	}
	what := journal.Effect
	if h.change != nil {
		var err error
		if what, err = h.change(ctx, e.ID); err != nil {
			return err
		}
	}
	return h.journal.Write(what, e.ID)
}

// Observe implements consumer.Observer.
func (h *effectHandler) Observe(o consumer.Observation) {
	outcome := string(o.Outcome)
	if !journal.Ends(outcome) {
		return
	}
	id := cmp.Or(o.Key.ID, "-") // recognised by its position
	if err := h.journal.Write(outcome, id); err != nil && h.err == nil {
		h.err = err
	}
}
