package exec

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Stream is a handler that hands events to one command that runs on. Its methods are safe for
// concurrent use.
type Stream struct {
	shellHandler

	grace       time.Duration
	sharedSlot  *processSlot // where events run beside others
	suspectSlot *processSlot // where suspects run
	suspectLock chan struct{}
	idle        time.Duration
	idleTimer   *time.Timer    // ends the child of suspectSlot
	suspects    rememberedKeys // of events that a command may have died of
	finished    rememberedKeys // of events that a command has done after their run was cancelled
	strays      strayAnswers
	answered    atomic.Bool   // by any child
	batches     atomic.Uint64 // how many there were

	leaving  sync.Once
	draining chan struct{} // closed once the subscription drains
	closing  sync.Once
	keeping  sync.WaitGroup
}

// finishedTTL is how long a late answer counts: until the event is redelivered, which a give-back
// makes soon.
const finishedTTL = 10 * time.Minute

// suspectWait is how long a suspect waits in its slot for the others to have run. Then it comes
// again after a while, so that suspects that take long leave the slots to others.
const suspectWait = 100 * time.Millisecond

var (
	errClosed   = errors.New("the handler of the command was closed")
	errDraining = errors.New("the command cannot be started, and the subscription drains")
)

// NewStream returns a handler that starts the line by /bin/sh, and hands it the events of the group
// as lines on its standard input. See the package for what it answers. It also starts a process
// that ends the command should this one die; the caller calls Close.
func NewStream(group, line string, o *Options) (*Stream, error) {
	opts, err := o.withDefaults(line)
	if err != nil {
		return nil, err
	}
	opts.Logger = opts.Logger.With("group", group)
	s := &Stream{
		grace: opts.Grace, suspectLock: make(chan struct{}, 1), idle: opts.Idle, strays: strayAnswers{log: opts.Logger},
		finished: rememberedKeys{ttl: finishedTTL}, draining: make(chan struct{}),
	}
	if err := s.startRunner(group, line, &opts, nil); err != nil {
		return nil, err
	}
	s.sharedSlot, s.suspectSlot = newProcessSlot(s, false), newProcessSlot(s, true)
	s.idleTimer = time.AfterFunc(s.idle, s.retireIdleSlot)
	s.keeping.Go(s.keepRunning)
	return s, nil
}

// keepRunning has the command run also while there are no events.
func (s *Stream) keepRunning() {
	for {
		c, err := s.sharedSlot.acquireChild(context.Background())
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
		return unwritableError(err)
	}
	key := consumer.AttemptFrom(ctx).IdempotencyKey
	it := streamEvent{key: key, line: line}
	if s.suspects.hasKey(key) {
		return s.classifyOutcome(key, s.runAlone(ctx, it))
	}
	return s.classifyOutcome(key, s.sharedSlot.runEvent(ctx, it))
}

var errDeferred = errors.New("other events that a command may have died of run first")

// runAlone runs a suspect alone. One that would wait for long gives its slot to others.
func (s *Stream) runAlone(ctx context.Context, e streamEvent) deliveryOutcome {
	enough := time.NewTimer(suspectWait)
	defer enough.Stop()
	select {
	case s.suspectLock <- struct{}{}:
	case <-enough.C:
		return deliveryOutcome{fate: fateDeferred, err: errDeferred}
	case <-ctx.Done():
		return deliveryOutcome{fate: fateUnsent, err: context.Cause(ctx)}
	case <-s.over:
		return deliveryOutcome{fate: fateUnsent, err: s.err}
	}
	defer func() { <-s.suspectLock }()
	s.idleTimer.Stop()
	defer s.idleTimer.Reset(s.idle)
	return s.suspectSlot.runEvent(ctx, e)
}

// retireIdleSlot ends the command in which suspects run, when none does.
func (s *Stream) retireIdleSlot() {
	select {
	case s.suspectLock <- struct{}{}:
		s.suspectSlot.retireIdle()
		<-s.suspectLock
	default:
	}
}

// classifyOutcome tells the subscription how the event fared.
func (s *Stream) classifyOutcome(key string, out deliveryOutcome) error {
	switch out.fate {
	case fateAnswered:
		err := out.answer.toVerdict()
		if err == nil || consumer.IsPermanent(err) {
			s.suspects.takeKey(key)
		}
		return err
	case fateSuspect:
		return fmt.Errorf("%w: it had other events in flight, so this one is redelivered to run alone (%w)", out.err, snoozeBriefly())
	case fateDeferred:
		return fmt.Errorf("%w (%w)", out.err, snoozeLonger())
	case fateBystander, fateUnread:
		return fmt.Errorf("%w (%w)", out.err, snoozeBriefly())
	case fateUnsent:
		if errors.Is(out.err, consumer.ErrRunLimit) || errors.Is(out.err, errDraining) || s.endError() != nil {
			return fmt.Errorf("no command has read the event: %w (%w)", out.err, snoozeBriefly())
		}
	case fateFailed, fateAbandoned:
	}
	return out.err
}

// snoozeBriefly and later count no attempt.
func snoozeBriefly() error { return snoozeJittered(100 * time.Millisecond) }
func snoozeLonger() error  { return snoozeJittered(time.Second) }

// snoozeJittered spreads retries.
func snoozeJittered(d time.Duration) error {
	return consumer.Snooze(d + mathrand.N(2*d)) //nolint:gosec // it hides nothing
}

// Actor is for a run.Group: run returns with an error when the command cannot be run: it does not
// exist, or its guard has ended. stop is called when the subscription begins to drain: from then on
// no event waits for a command that ended without an answer. Neither ends what runs: that is Close.
func (s *Stream) Actor() (run func() error, stop func(error)) {
	stopped := make(chan struct{})
	return func() error { return s.runUntil(stopped) }, func(error) {
		s.leaving.Do(func() { close(s.draining) })
		close(stopped)
	}
}

// Close ends the command: it has the grace to end once its input has ended, and another after
// SIGTERM. It is called after the subscription has ended. A repeated call does nothing.
func (s *Stream) Close() error {
	s.endWorker(errClosed)
	s.closing.Do(func() {
		s.idleTimer.Stop()
		s.keeping.Wait()
		var lanes sync.WaitGroup
		lanes.Go(s.sharedSlot.closeSlot)
		lanes.Go(s.suspectSlot.closeSlot)
		lanes.Wait()
	})
	return s.guard.Close()
}
