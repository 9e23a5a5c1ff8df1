package consumer

import (
	"context"
	"fmt"
	"sync"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// Stats describes a subscription: events in flight and runs as they stand, and how deliveries have
// ended since it began.
type Stats = protocol.Stats

// Subscription is a running subscription. Its methods are safe for concurrent use.
type Subscription struct {
	*common
	partitions *partitions // nil: the order is one within a process
	loops      sync.WaitGroup
	loopsEnd   context.Context //nolint:containedctx // of the loops for all engines
	endLoops   context.CancelFunc
	done       chan struct{}
	err        error // once done is closed
}

// begin starts the subscription. It runs until ctx ends, Drain is called, or bus or store is closed
// for good.
func (s *Subscription) begin(ctx context.Context) error {
	s.loopsEnd, s.endLoops = context.WithCancel(context.WithoutCancel(ctx))
	stopped, stop := context.WithCancel(ctx)
	s.stopped, s.stop = stopped.Done(), stop
	run, err := s.prepareRun(stopped)
	if err != nil {
		stop()
		s.endLoops()
		return err
	}
	s.startLoops()
	go func() {
		defer close(s.done)
		defer stop()
		s.err = run()
		s.endLoops()
		s.engines.close()
		s.slots.close()
		s.loops.Wait()
	}()
	return nil
}

// prepareRun returns what runs the engines until stopped ends.
func (s *Subscription) prepareRun(stopped context.Context) (run func() error, err error) {
	if s.options.Order.needsSession() {
		return s.preparePartitions(stopped)
	}
	if err := s.checkPlainLayout(stopped); err != nil {
		return nil, err
	}
	e := s.newEngine(s.values, s.subscribed)
	info, err := s.checkStream(stopped, s.subscribed)
	if err != nil {
		return nil, err
	}
	if err := e.openCursor(stopped, s.cursorConfig(s.subscribed), &info); err != nil {
		return nil, err
	}
	s.engines.add(e)
	e.start(stopped)
	return e.runToEnd, nil
}

// startLoops starts what runs for all engines together.
func (s *Subscription) startLoops() {
	for i, gate := range s.adaptiveGates() {
		s.loops.Go(func() { s.followCapacity(s.loopsEnd, i, gate) })
	}
	if len(s.observers.pauses) > 0 {
		s.loops.Go(func() { s.engines.observePauses(s.observers) })
	}
}

// Pause is PauseBy("").
func (s *Subscription) Pause() { s.PauseBy("") }

// Resume is ResumeBy("").
func (s *Subscription) Resume() { s.ResumeBy("") }

// PauseBy stops new runs in this process. Once it has returned, no handler is started until
// everybody who paused the subscription has called ResumeBy. Running ones finish, and what was
// claimed is given back. PauseBy does not wait: a handler that was started right before may be at
// its first instruction when it returns, and counts as running (Stats). Repeated calls do nothing.
func (s *Subscription) PauseBy(who string) { s.engines.pauseBy(who) }

// ResumeBy ends a PauseBy of the same name. Repeated calls do nothing.
func (s *Subscription) ResumeBy(who string) { s.engines.resumeBy(who) }

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

// Owner returns what the nonces of the subscription's claims begin with, and those of no other. It
// is another one for each subscription of a process.
func (s *Subscription) Owner() string { return s.ownerPrefix }

// Partitions returns the numbers of the partitions that this process owns, in order; with the order
// Exclusive, 0 while it owns the topic. Those that are being handed over are among them.
func (s *Subscription) Partitions() []int {
	if s.partitions == nil {
		return nil
	}
	return s.partitions.assignment.Owned()
}

// Stats returns the counts as they stand.
func (s *Subscription) Stats() Stats {
	sum := s.engines.stats()
	sum.Allowed = min(sum.Allowed, uint64(s.options.Concurrency))
	return sum
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
