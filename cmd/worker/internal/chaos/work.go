package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
)

// concurrency of a worker process: a kill repeats at most as many effects. It is the default.
const concurrency = 16

// maxCrashes is more than any event meets: kills are no fault of the event's.
const maxCrashes = 100_000

// workAssignment is what a worker process is told.
type workAssignment struct {
	testbed.Bed

	Journal string        `json:"journal"`
	Seed    uint64        `json:"seed"`
	Lease   time.Duration `json:"lease"`
	// Order is a consumer.Order.
	Order string `json:"order"`
	// Member is the name of the place of the process. Empty: it has none.
	Member string `json:"member,omitempty"`
	// Deployment is what the workers of a Deployment are told. Nil: it is for Work.
	Deployment *deploymentAssignment `json:"deployment,omitempty"`
}

// Work is what a process does that Run has started, with its standard input and error. It returns
// when it was told to end and has drained. If the input ends before, Run's process has died, and
// this one kills itself by SIGKILL. When it fails by itself, a goroutine keeps reading: the process
// is to end then.
func Work(ctx context.Context, in io.Reader, log io.Writer) error {
	return workAs(ctx, in, log, variant{})
}

// variant is how a worker differs from a right one: tests have some that break the promise.
type variant struct {
	// over makes other connections of the right ones. Nil: none.
	over func(context.Context, *worker.Connections) (*worker.Connections, error)
	// adjust changes the options of the subscription. Nil: nothing does.
	adjust func(*consumer.Options)
}

// workAs is Work for a variant.
func workAs(ctx context.Context, in io.Reader, log io.Writer, v variant) (err error) {
	var a workAssignment
	ctx, err = testbed.ReadAssignment(ctx, in, &a)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo})).With("process", processID())
	c, err := a.Connect(ctx, a.Lease, logger)
	if err != nil {
		return testbed.StartError(ctx, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	used := c.Connections
	if v.over != nil {
		if used, err = v.over(ctx, used); err != nil {
			return err
		}
	}
	return consumeUntilEnd(ctx, &a, used, v.adjust, logger)
}

// consumeUntilEnd handles events until ctx ends.
func consumeUntilEnd(ctx context.Context, a *workAssignment, c *worker.Connections, adjust func(*consumer.Options), log *slog.Logger) (err error) {
	j, err := journal.OpenWriter(a.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h := &journalHandler{journal: j, seed: a.Seed, lease: a.Lease, stop: stop}
	order, err := consumer.ParseOrder(a.Order)
	if err != nil {
		return err
	}
	w, err := worker.New(a.Name, c, &worker.Options{Name: a.Member, Logger: log, Started: func() { h.note(journal.Ready, "-") }})
	if err != nil {
		return err
	}
	o := &consumer.Options{
		Concurrency: concurrency, Lease: a.Lease, AckWait: a.Lease, MaxCrashes: maxCrashes, MaxAttempts: 100, DeadLetter: a.DeadLetters(), Observer: h,
		Backoff: consumer.Backoff{Base: 50 * time.Millisecond, Max: time.Second}, RunLimit: time.Minute, Drain: 2 * a.Lease,
		Order: order,
	}
	if order.NumPartitions() == 0 { // with partitions the key is the publisher's, and nothing is told of what arrives
		o.OrderKey = h.noteArrived
	}
	if adjust != nil {
		adjust(o)
	}
	w.Handle(a.Topic(), h.handleEvent, o)
	watching := watchStandstills(ctx, a.Lease, func(length time.Duration) { h.note(journal.Standstill, length.String()) })
	err = w.Run(ctx)
	watching()
	return errors.Join(err, h.firstError())
}

// journalHandler makes effects, and takes as long for it as a call to another service might. It
// ends the process once it cannot write to the journal.
type journalHandler struct {
	journal *journal.Writer
	seed    uint64
	lease   time.Duration
	stop    func()

	mu  sync.Mutex
	err error // the first of writing
}

var _ consumer.Observer = (*journalHandler)(nil)

// noteArrived writes down that an event was delivered, and returns its order key.
func (h *journalHandler) noteArrived(e bus.Event) string {
	h.note(journal.Arrived, e.ID)
	return e.Key
}

func (h *journalHandler) handleEvent(ctx context.Context, e bus.Event) error {
	n := consumer.AttemptFrom(ctx).Number
	if err := h.keepError(h.journal.WriteStart(e.ID, cmp.Or(e.Key, "-"), n)); err != nil || isRollCall(e.ID) {
		return err
	}
	takes, fails := runFate(h.seed, e.ID, n, h.lease)
	call := time.NewTimer(takes)
	defer call.Stop()
	select {
	case <-call.C:
	case <-ctx.Done():
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), h.write(journal.Cancelled, e.ID))
	case isPermanent(h.seed, e.ID):
		return consumer.Permanent(errors.Join(errors.New("the event fails for good, as some do"), h.write(journal.Failed, e.ID)))
	case fails:
		return errors.Join(fmt.Errorf("attempt %d fails, as it does now and then", n), h.write(journal.Failed, e.ID))
	}
	return h.write(journal.Effect, e.ID)
}

// Observe implements consumer.Observer.
func (h *journalHandler) Observe(o consumer.Observation) {
	id := cmp.Or(o.Key.ID, "-") // recognised by its position
	if outcome := string(o.Outcome); journal.Ends(outcome) {
		h.note(outcome, id)
	} else {
		h.note(journal.Nacked, id)
	}
}

// note is write for what nobody waits for.
func (h *journalHandler) note(what, id string) { _ = h.write(what, id) }

// write writes a record.
func (h *journalHandler) write(what, id string) error { return h.keepError(h.journal.Write(what, id)) }

// keepError keeps the first error, and ends the process. It returns what it is given.
func (h *journalHandler) keepError(err error) error {
	if err == nil {
		return nil
	}
	h.mu.Lock()
	h.err = cmp.Or(h.err, err)
	h.mu.Unlock()
	h.stop()
	return err
}

func (h *journalHandler) firstError() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}
