package chaos

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// deploymentAssignment is what a worker process of a Deployment is told.
type deploymentAssignment struct {
	File      string `json:"file"`
	Text      []byte `json:"text"`
	Journal   string `json:"journal,omitempty"`
	OwnServer bool   `json:"own_server,omitempty"`
}

func (o *Options) deploymentAssignment() *deploymentAssignment {
	if o.Deployment == nil {
		return nil
	}
	d := o.Deployment
	return &deploymentAssignment{File: d.File, Text: d.Text, Journal: d.Journal, OwnServer: o.NATS == ""}
}

// WorkerProcess is what a worker process of a Deployment is to run, as worker run would.
type WorkerProcess struct {
	// Config is what the file says, for servers and with names that are chaos's.
	Config  *config.Config
	Connect *worker.ConnectOptions
	Options *worker.Options
	// Env is what commands have in their environment beside this process's.
	Env []string

	journal  *journal.Writer
	idPrefix string // of the events that chaos publishes
	lines    func(*config.Subscription) bool

	mu  sync.Mutex
	err error // the first of writing
}

// WorkDeployment is Work for the workers of a Deployment, which serve runs until ctx ends.
func WorkDeployment(ctx context.Context, in io.Reader, log io.Writer, serve func(context.Context, *WorkerProcess) error) (err error) {
	var a workAssignment
	if ctx, err = testbed.ReadAssignment(ctx, in, &a); err != nil {
		return err
	}
	if a.Deployment == nil {
		return errors.New("the assignment names no file of workers: this command is started by other commands, not by people")
	}
	j, err := journal.OpenWriter(a.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	p, err := newWorkerProcess(&a, j, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo})).With("process", processID()))
	if err != nil {
		return err
	}
	defer watchStandstills(ctx, a.Lease, p.writeStandstill)()
	return errors.Join(serve(ctx, p), p.firstError())
}

func newWorkerProcess(a *workAssignment, j *journal.Writer, log *slog.Logger) (*WorkerProcess, error) {
	c, problems := config.Parse(a.Deployment.File, a.Deployment.Text, os.LookupEnv)
	if mistakes, _ := problems.SplitWarnings(); len(mistakes) > 0 {
		return nil, mistakes
	}
	adjustConfig(c, &a.Bed, a.Deployment.OwnServer)
	d := &deployed{Deployment: &Deployment{Journal: a.Deployment.Journal}}
	p := &WorkerProcess{Config: c, Connect: connectOptions(c, &a.Bed, log), journal: j, idPrefix: a.Name + "-", lines: d.hasLines}
	p.Options = &worker.Options{Drain: c.Drain, Logger: log, Started: func() { p.keepError(j.Write(journal.Ready, "-")) }}
	if a.Deployment.Journal != "" {
		p.Env = []string{JournalVariable + "=" + a.Deployment.Journal}
	}
	return p, nil
}

// Watch returns a handler that writes down the runs of a subscription's handler, and sets the
// observer of the options, which there must not be yet.
func (p *WorkerProcess) Watch(s *config.Subscription, h consumer.Handler, o *consumer.Options) consumer.Handler {
	w := &runWriter{p: p, s: s, success: journal.Effect}
	if p.lines(s) {
		w.success = journal.Succeeded
	}
	if s.Mode == consumer.Transactional { // its effect is made with its mark
		w.success, w.effectWithMark = journal.Succeeded, true
	}
	o.Observer = w
	return func(ctx context.Context, e bus.Event) error { return w.handleEvent(ctx, e, h) }
}

func (p *WorkerProcess) keepError(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = cmp.Or(p.err, err)
}

func (p *WorkerProcess) firstError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *WorkerProcess) writeStandstill(length time.Duration) {
	p.keepError(p.journal.Write(journal.Standstill, length.String()))
}

// runWriter writes down the runs of one subscription, of the events that chaos has published.
type runWriter struct {
	p              *WorkerProcess
	s              *config.Subscription
	success        string // what is written when the handler has succeeded
	effectWithMark bool
}

var _ consumer.Observer = (*runWriter)(nil)

func (w *runWriter) handleEvent(ctx context.Context, e bus.Event, h consumer.Handler) error {
	if !strings.HasPrefix(e.ID, w.p.idPrefix) {
		return h(ctx, e)
	}
	if err := w.p.journal.WriteStart(e.ID, w.orderKey(&e), max(1, consumer.AttemptFrom(ctx).Number)); err != nil {
		return err
	}
	err := h(ctx, e)
	what := w.success
	switch {
	case err == nil:
	case ctx.Err() != nil:
		what = journal.Cancelled
	case consumer.IsThrottled(err) || consumer.IsUnavailable(err):
		what = journal.Deferred
	default:
		what = journal.Failed
	}
	w.p.keepError(w.p.journal.Write(what, e.ID))
	return err
}

// orderKey is what orders the events of the subscription.
func (w *runWriter) orderKey(e *bus.Event) string {
	switch {
	case w.s.Order == consumer.ByTopic:
		return w.s.Topic
	case w.s.Order == consumer.Unordered || e.Key == "":
		return w.s.Topic + "#" + e.ID
	}
	return w.s.Topic + "/" + e.Key
}

// Observe implements consumer.Observer.
func (w *runWriter) Observe(o consumer.Observation) {
	outcome, id := string(o.Outcome), cmp.Or(o.Key.ID, "-") // recognised by its position
	if id != "-" && !strings.HasPrefix(id, w.p.idPrefix) || !journal.Ends(outcome) {
		return
	}
	if w.effectWithMark {
		switch outcome {
		case journal.Handled:
			w.p.keepError(w.p.journal.Write(journal.Effect, id))
		case journal.Duplicate:
			w.p.keepError(w.p.journal.Write(journal.Found, id))
		}
	}
	w.p.keepError(w.p.journal.Write(outcome, id))
}
