package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// Stats describes a subscription: events in flight and runs as they stand, and how deliveries have
// ended since it began.
type Stats = protocol.Stats

// Subscription is a running subscription. Its methods are safe for concurrent use.
type Subscription struct {
	engine  *engine
	stop    context.CancelFunc // begins to drain
	stopped context.Context    //nolint:containedctx // ends when draining begins
	done    chan struct{}
	err     error // once done is closed
}

// startSubscription runs the engine until ctx ends, Drain is called, or bus or store is closed for
// good.
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

// awaitEnd waits until the subscription is to end, and drains it.
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

// Pause stops new runs. Once it has returned, no handler is started until Resume. Running ones
// finish, and what was claimed is given back. Pause does not wait: a handler that was started right
// before may be at its first instruction when Pause returns, and counts as running (Stats).
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

// Stats returns the counts as they stand.
func (s *Subscription) Stats() Stats {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return s.engine.machine.Stats()
}

// Lag is how many events of a topic a group has not handled.
type Lag struct {
	// Pending is the number of events that were delivered to no process of the group yet.
	Pending uint64
	// Unsettled is the number of events that were delivered and are not acked: they run, or wait
	// for their retry.
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

// Err returns nil while the subscription runs, and after a complete drain. Otherwise it returns
// ErrDrainIncomplete, or why the subscription ended by itself (bus.ErrClosed).
func (s *Subscription) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Actor returns an actor of a run.Group: run returns Err once the subscription has ended, stop
// begins to drain it.
func (s *Subscription) Actor() (run func() error, stop func(error)) {
	run = func() error {
		<-s.done
		return s.err
	}
	return run, func(error) { s.stop() }
}

// Healthy returns why events may not be handled; nil while all is well, which includes paused and
// draining. Once the subscription has ended it returns an error.
func (s *Subscription) Healthy() error {
	select {
	case <-s.done:
		return errors.Join(errors.New("the subscription has ended"), s.err)
	default:
		return s.engine.healthError()
	}
}
