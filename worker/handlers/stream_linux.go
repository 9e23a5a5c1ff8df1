package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/internal/command"
)

// Stream is a handler that hands events to one command that runs on. Its methods are safe for
// concurrent use.
type Stream struct {
	line, group string
	env         []string
	grace       time.Duration
	log         *slog.Logger
	guard       *command.Guard
	runner      *command.Runner

	beside   *lane // where events run beside others
	single   *lane // where suspects run
	cell     chan struct{}
	idle     time.Duration
	resting  *time.Timer // ends the child of single
	suspects suspects
	finished finishedKeys
	strays   strays
	starts   starts
	answered atomic.Bool // by any child

	leaving   sync.Once
	draining  chan struct{} // closed once the subscription drains
	finishing sync.Once
	closing   sync.Once
	over      chan struct{}
	err       error // once over is closed
	keeping   sync.WaitGroup
}

// patience is how long a suspect waits in its slot for the others to have run. Then it comes again
// after a while, so that suspects that take long leave the slots to others.
const patience = 100 * time.Millisecond

var (
	errClosed   = errors.New("the handler of the command was closed")
	errDraining = errors.New("the command cannot be started, and the subscription drains")
)

// NewStream returns a handler that starts the line by /bin/sh, and hands it the events of the group
// as lines on its standard input. See the package for what it answers. It also starts a process
// that ends the command should this one die; the caller calls Close.
func NewStream(group, line string, o *StreamOptions) (*Stream, error) {
	opts, err := o.complete(line)
	if err != nil {
		return nil, err
	}
	guard, err := command.StartGuard(opts.Guard[0], opts.Guard[1:], opts.Stderr, opts.Reaper)
	if err != nil {
		return nil, err
	}
	runner, err := command.NewRunner(guard, command.Options{Stderr: opts.Stderr, Grace: opts.Grace})
	if err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	log := opts.Logger.With("group", group)
	s := &Stream{
		line: line, group: group, env: inherited(opts.Env), grace: opts.Grace, log: log, guard: guard, runner: runner,
		cell: make(chan struct{}, 1), idle: opts.Idle, strays: strays{log: log}, draining: make(chan struct{}), over: make(chan struct{}),
	}
	s.beside, s.single = newLane(s, false), newLane(s, true)
	s.resting = time.AfterFunc(s.idle, s.rest)
	s.keeping.Go(s.keep)
	return s, nil
}

// keep has the command run also while there are no events.
func (s *Stream) keep() {
	for {
		c, err := s.beside.get(context.Background())
		if err != nil {
			return
		}
		select {
		case <-c.gone:
		case <-s.over:
			return
		}
	}
}

// Handle is a consumer.Handler; ctx is a subscription's. Its errors say what becomes of the event.
func (s *Stream) Handle(ctx context.Context, e bus.Event) error {
	line, err := encodeEvent(ctx, &e, s.group)
	if err != nil {
		return consumer.Permanent(fmt.Errorf("the event cannot be written as a line: %w", err))
	}
	key := consumer.AttemptFrom(ctx).IdempotencyKey
	if s.suspects.has(key) {
		return s.judge(key, s.apart(ctx, key, line))
	}
	return s.judge(key, s.beside.run(ctx, key, line))
}

var errCrowded = errors.New("other events that a command may have died of run first")

// apart runs a suspect alone. One that would wait for long gives its slot to others.
func (s *Stream) apart(ctx context.Context, key string, line []byte) outcome {
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case s.cell <- struct{}{}:
	case <-enough.C:
		return outcome{fate: crowded, err: errCrowded}
	case <-ctx.Done():
		return outcome{fate: unsent, err: context.Cause(ctx)}
	case <-s.over:
		return outcome{fate: unsent, err: s.err}
	}
	defer func() { <-s.cell }()
	s.resting.Stop()
	defer s.resting.Reset(s.idle)
	return s.single.run(ctx, key, line)
}

// rest ends the command in which suspects run, when none does.
func (s *Stream) rest() {
	select {
	case s.cell <- struct{}{}:
		s.single.rest()
		<-s.cell
	default:
	}
}

// judge tells the subscription how the event fared.
func (s *Stream) judge(key string, out outcome) error {
	switch out.fate {
	case answered:
		err := out.answer.verdict()
		if err == nil || consumer.IsPermanent(err) {
			s.suspects.forget(key)
		}
		return err
	case suspect:
		return fmt.Errorf("%w: it had other events in hand, so this one comes again to run alone (%w)", out.err, soon())
	case crowded:
		return fmt.Errorf("%w (%w)", out.err, later())
	case bystander, unread:
		return fmt.Errorf("%w (%w)", out.err, soon())
	case unsent:
		if errors.Is(out.err, consumer.ErrRunLimit) || errors.Is(out.err, errDraining) || s.ended() != nil {
			return fmt.Errorf("no command has read the event: %w (%w)", out.err, soon())
		}
	case failed, forsaken:
	}
	return out.err
}

// soon and later count no attempt.
func soon() error  { return snooze(100 * time.Millisecond) }
func later() error { return snooze(time.Second) }

// snooze spreads what comes again.
func snooze(d time.Duration) error {
	return consumer.Snooze(d + mathrand.N(2*d)) //nolint:gosec // it hides nothing
}

// finish makes every wait end. The first cause is kept.
func (s *Stream) finish(cause error) {
	s.finishing.Do(func() {
		s.err = cause
		close(s.over)
	})
}

// ended is why no more events are handled; nil while they are.
func (s *Stream) ended() error {
	select {
	case <-s.over:
		return s.err
	default:
		return nil
	}
}

// Actor is for a run.Group: run returns with an error when the command cannot be run: it does not
// exist, or its guard has ended. stop is called when the subscription begins to drain: from then on
// no event waits for a command that ended without an answer. Neither ends what runs: that is Close.
func (s *Stream) Actor() (run func() error, stop func(error)) {
	stopped := make(chan struct{})
	run = func() error {
		select {
		case <-s.guard.Ended():
			return s.guard.Err()
		case <-s.over:
			return s.err
		case <-stopped:
			return nil
		}
	}
	return run, func(error) {
		s.leaving.Do(func() { close(s.draining) })
		close(stopped)
	}
}

// Close ends the command: it has the grace to end once its input has ended, and another after
// SIGTERM. It is called after the subscription has ended. A repeated call does nothing.
func (s *Stream) Close() error {
	s.finish(errClosed)
	s.closing.Do(func() {
		s.resting.Stop()
		s.keeping.Wait()
		var lanes sync.WaitGroup
		lanes.Go(s.beside.close)
		lanes.Go(s.single.close)
		lanes.Wait()
	})
	return s.guard.Close()
}
