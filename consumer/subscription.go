package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// Stats count deliveries since the subscription began, but for the first four.
type Stats struct {
	// InFlight is how many events are in flight now, Running how many handlers run. Allowed is how
	// many may run: Options.Concurrency, or fewer while the receiver throttles; 0 is one at a time,
	// with a gap between.
	InFlight, Running, Allowed uint64
	// Retrying is how many events this process has nacked and expects to be redelivered, here
	// or elsewhere.
	Retrying uint64
	// Handled runs succeeded; Duplicates were recognised and acknowledged; Failed runs will be
	// repeated; Dead were dead-lettered.
	Handled, Duplicates, Failed, Dead uint64
	// Deferred runs were Throttled, or Unavailable for a reason that may not be the event's own:
	// they were no attempts, and will be repeated.
	Deferred uint64
	// Skipped messages were acknowledged unrun, for they are no events of this group: the bus's
	// server stored them for itself (markers of deletions, schedules), or they are redriven for
	// another group.
	Skipped uint64
	// Held copies were sent back for a while; GivenBack never ran; Lost were superseded by another
	// owner, or left to their lease because nobody knows whether their transaction was committed.
	Held, GivenBack, Lost uint64
	// Dropped were sent back, and deleted by the stream before they were delivered again, when
	// their data was not here any more.
	Dropped uint64
}

// Subscription is a running subscription. Its methods are safe for concurrent use.
type Subscription struct {
	engine  *engine
	stop    context.CancelFunc // begins to drain
	stopped context.Context    //nolint:containedctx // ends when draining begins
	done    chan struct{}
	err     error // once done is closed
}

// startSubscription runs the engine until ctx ends, Drain is called, or the bus is closed for good.
func startSubscription(ctx context.Context, e *engine) *Subscription {
	e.calls, e.stopCalls = context.WithCancel(context.WithoutCancel(ctx))
	s := &Subscription{engine: e, done: make(chan struct{})}
	s.stopped, s.stop = context.WithCancel(ctx)
	e.startLoops()
	go func() {
		defer close(s.done)
		defer s.stop()
		s.err = s.awaitEnd()
	}()
	return s
}

// awaitEnd waits for the end, and drains.
func (s *Subscription) awaitEnd() error {
	e := s.engine
	select {
	case <-s.stopped.Done():
	case <-e.failed:
	}
	err := e.drainInOrder()
	e.closeLoops()
	return err
}

// Pause stops new runs. Once it has returned, no handler is started until Resume; running ones
// finish, and what was claimed is given back. It does not wait: a handler that was let through
// right before may be at its first instruction when Pause returns, and counts as running (Stats).
// Repeated calls do nothing.
func (s *Subscription) Pause() {
	s.engine.stepMachine(func(m *protocol.Machine, now time.Time) {
		m.Pause(now)
		if s.engine.pausedSince.IsZero() {
			s.engine.pausedSince = now
		}
	})
}

// Resume ends a Pause.
func (s *Subscription) Resume() {
	s.engine.stepMachine(func(m *protocol.Machine, _ time.Time) {
		m.Resume()
		s.engine.pausedSince = time.Time{}
	})
}

// Drain ends the subscription: it stops fetching, gives back what never began, waits for running
// handlers (Options.Drain; then they are cancelled), marks, acknowledges, and returns Err. When ctx
// ends first it returns ctx's error, and draining goes on. Repeated calls wait for the same end.
func (s *Subscription) Drain(ctx context.Context) error {
	s.stop()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the drain: %w", context.Cause(ctx))
	}
}

// Stats are the counts as they stand.
func (s *Subscription) Stats() Stats {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return Stats(s.engine.machine.Stats())
}

// Lag is what a group has not handled of a topic.
type Lag struct {
	// Pending events were delivered to no process of the group yet.
	Pending uint64
	// Unsettled events were delivered and are not acknowledged: they run, or wait for their retry.
	Unsettled uint64
}

// Lag asks the bus for the group's lag. It does not retry.
func (s *Subscription) Lag(ctx context.Context) (Lag, error) {
	info, err := s.engine.cursor.Source().Info(ctx)
	if err != nil {
		return Lag{}, err
	}
	return Lag{Pending: info.Pending, Unsettled: info.Unsettled}, nil
}

// Done is closed once the subscription has ended and everything it started has stopped, but for
// handlers that do not return.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err is nil while the subscription runs, and after a complete drain. Else it is
// ErrDrainIncomplete, or why the subscription ended by itself (bus.ErrClosed).
func (s *Subscription) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Actor is for a run.Group: run returns Err once the subscription has ended, stop begins to drain.
func (s *Subscription) Actor() (run func() error, stop func(error)) {
	run = func() error {
		<-s.done
		return s.err
	}
	return run, func(error) { s.stop() }
}

// Healthy says why events may not be handled: nil while all is well, paused and draining
// included. Once the subscription has ended it is an error.
func (s *Subscription) Healthy() error {
	select {
	case <-s.done:
		return errors.Join(errors.New("the subscription has ended"), s.err)
	default:
		return s.engine.healthError()
	}
}
