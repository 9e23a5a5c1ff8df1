package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
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
		Name: "onceish-demo-" + strings.ToLower(rand.Text()[:12]), NATS: c.NATS, Store: c.Store, Mongo: c.Mongo, Atomic: c.Atomic,
		Journal: filepath.Join(dir, "journal"), Seed: c.Seed, Crashes: c.Kills + 5,
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in a directory of our own
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	s, err := openEnvironment(ctx, a, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	js, err := jetstream.New(s.NATS(), jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.removeResources(ctx, js)) }()
	if err := s.makeResources(ctx, js); err != nil {
		return Result{}, err
	}
	r, err := runDemo(ctx, &c, s, js, log)
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
func runDemo(ctx context.Context, o *Options, s *demoEnvironment, js jetstream.JetStream, log *os.File) (Result, error) {
	a := s.a
	file, err := os.OpenFile(a.Journal, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = file.Close() }() // it was only read
	line, err := a.jsonLine()
	if err != nil {
		return Result{}, err
	}
	c := &processPool{command: o.Command, line: line, log: log}
	defer c.killAll()
	plan := newPlan(o.Seed, o.Events, o.Kills)
	t := &demoRun{
		plan: plan, processes: c, reader: newJournalReader(file), book: newEffectTally(plan.ids), cursor: &groupCursor{js: js, stream: a.Name, consumer: a.consumerName()},
		show: newProgressConsole(o.Output, o.Live, o.Events), random: newRandom(o.Seed), patience: o.patience, documents: s.documents,
	}
	defer t.show.clearProgress()
	for range o.Processes {
		if _, err := c.startOne(); err != nil {
			return Result{}, err
		}
	}
	processes := "processes"
	if o.Processes == 1 {
		processes = "process"
	}
	t.show.printLine("publishing %s events as %s messages to %d worker %s; seed %d", groupDigits(o.Events), groupDigits(len(plan.messages)), o.Processes, processes, o.Seed)
	if o.Pause != "" {
		t.show.printLine("to pause all workers, from another terminal: %s %s", o.Pause, a.Name)
	}
	t.producer = startProducer(ctx, js, a.topicName(), len(plan.portions))
	defer t.producer.stopAndCount()
	return t.runToEnd(ctx)
}
