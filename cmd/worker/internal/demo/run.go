package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/cmd/worker/internal/console"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// Run plays the demo and returns what was counted once everything is settled: see Result.Err. An
// error beside it is why it could not go on, or could not clean up. When ctx ends so does
// everything it has started. It blocks, and does not retry.
func Run(ctx context.Context, o *Options) (_ Result, err error) {
	c, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "onceish-demo-")
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	a := &workerAssignment{
		Bed:    testbed.Bed{Name: testbed.FreshName("onceish-demo"), NATS: c.NATS, Store: c.Store, Mongo: c.Mongo},
		Atomic: c.Atomic, Journal: filepath.Join(dir, "journal"), Seed: c.Seed, Crashes: c.Kills + 5,
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in a directory of our own
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	s, err := a.connect(ctx, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	js, err := jetstream.New(s.NATS(), jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.Remove(ctx, js), s.documents.dropCollection(ctx)) }()
	if err := s.MakeStream(ctx, js, "worker demo; may be deleted once that has ended"); err != nil {
		return Result{}, err
	}
	r, err := runDemo(ctx, &c, a, s.documents, js, log)
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, logTail(log))
	}
	return r, err
}

// logTail is the end of what the workers have said.
func logTail(log *os.File) error {
	const enough = 2000
	text, err := os.ReadFile(log.Name())
	switch {
	case err != nil:
		return err
	case len(text) == 0:
		return nil
	case len(text) > enough:
		text = text[len(text)-enough:]
	}
	return fmt.Errorf("the workers said at last:\n  %s", strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  "))
}

// runDemo starts the workers, and ends them.
func runDemo(ctx context.Context, o *Options, a *workerAssignment, documents *effectDocuments, js jetstream.JetStream, log *os.File) (Result, error) {
	file, err := os.OpenFile(a.Journal, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = file.Close() }() // it was only read
	c := &testbed.Pool{Command: o.Command, Log: log}
	defer c.KillAll()
	plan := newPlan(o.Seed, o.Events, o.Kills)
	t := &demoRun{
		assignment: a, plan: plan, processes: c, reader: journal.NewReader(file), tally: journal.NewTally(plan.ids),
		cursor: testbed.NewGroupCursor(js, a.Name, a.ConsumerName()),
		show:   newConsole(o), random: newRandom(o.Seed), patience: o.patience, documents: documents,
	}
	defer t.show.Clear()
	for range o.Processes {
		if _, err := c.Start(a); err != nil {
			return Result{}, err
		}
	}
	processes := "processes"
	if o.Processes == 1 {
		processes = "process"
	}
	t.show.PrintLine("publishing %s events as %s messages to %d worker %s; seed %d", console.GroupDigits(o.Events), console.GroupDigits(len(plan.messages)), o.Processes, processes, o.Seed)
	if o.Pause != "" {
		t.show.PrintLine("to pause all workers, from another terminal: %s %s", o.Pause, a.Name)
	}
	t.producer = startProducer(ctx, js, a.Topic(), len(plan.portions))
	defer t.producer.stopAndCount()
	return t.runToEnd(ctx)
}

func newConsole(o *Options) *console.Console {
	return console.New(console.Options{
		Output: o.Output, Command: "demo", Total: o.Events, Bar: "effects", Done: "events have their effect", Live: o.Live,
	})
}
