package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// Stats describes a subscription: events in flight and runs as they stand, and how deliveries have
// ended since it began.
type Stats = protocol.Stats

// Subscription is a running subscription. Its methods are safe for concurrent use.
type Subscription struct {
	engine *engine
	done   chan struct{}
	err    error // once done is closed
}

// Pause is PauseBy("").
func (s *Subscription) Pause() { s.PauseBy("") }

// Resume is ResumeBy("").
func (s *Subscription) Resume() { s.ResumeBy("") }

// PauseBy stops new runs in this process. Once it has returned, no handler is started until
// everybody who paused the subscription has called ResumeBy. Running ones finish, and what was
// claimed is given back. PauseBy does not wait: a handler that was started right before may be at
// its first instruction when it returns, and counts as running (Stats). Repeated calls do nothing.
func (s *Subscription) PauseBy(who string) {
	e := s.engine
	e.stepMachine(func(m *protocol.Machine, now time.Time) {
		if slices.Contains(e.pausedBy, who) {
			return
		}
		if e.pausedBy = append(e.pausedBy, who); len(e.pausedBy) == 1 {
			e.pausedSince = now
		}
		m.Pause(now)
		e.notePause()
	})
}

// ResumeBy ends a PauseBy of the same name. Repeated calls do nothing.
func (s *Subscription) ResumeBy(who string) {
	e := s.engine
	e.stepMachine(func(m *protocol.Machine, _ time.Time) {
		at := slices.Index(e.pausedBy, who)
		if at < 0 {
			return
		}
		if e.pausedBy = slices.Delete(e.pausedBy, at, at+1); len(e.pausedBy) == 0 {
			e.pausedSince = time.Time{}
			m.Resume()
		}
		e.notePause()
	})
}

// Drain ends the subscription: it stops fetching, gives back what never began, waits for running
// handlers (Options.Drain; then they are cancelled), marks, acknowledges, and returns Err. When ctx
// ends first it returns ctx's error, and draining goes on. Repeated calls wait for the same end.
func (s *Subscription) Drain(ctx context.Context) error {
	s.engine.stop()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the drain: %w", context.Cause(ctx))
	}
}

// Owner returns what the nonces of the subscription's claims begin with, and those of no other. It
// is another one for each subscription of a process.
func (s *Subscription) Owner() string { return s.engine.owner }

// Stats returns the counts as they stand.
func (s *Subscription) Stats() Stats {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return s.engine.machine.Stats()
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
	return run, func(error) { s.engine.stop() }
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

// Stalled returns why nothing starts again in this process, although another process could handle
// the events: handlers that did not return at the run limit hold every slot. It is nil otherwise,
// and once the subscription has ended. It asks neither bus nor store, so their outages are no
// reason. It blocks only where the subscription's own loop does, and is safe for concurrent use.
func (s *Subscription) Stalled() error {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	select {
	case <-s.done:
		return nil
	default:
	}
	if m := s.engine.machine; m.Stalled() {
		return fmt.Errorf("all %d slots of the subscription to %q are held by handlers that did not return at the run limit of %v",
			m.Stuck(), s.engine.topic, s.engine.o.RunLimit)
	}
	return nil
}

// healthError is everything that is known to be wrong.
func (e *engine) healthError() error {
	info := e.cursor.Polled()
	err := e.cursor.Source().Healthy()
	e.mu.Lock()
	defer e.mu.Unlock()
	err = errors.Join(err, e.endedBy)
	store, letter := e.machine.Trouble()
	switch {
	case errors.Is(store, dedupe.ErrFull):
		err = errors.Join(err, fmt.Errorf("the dedupe store is full, and new events wait until marks expire: it %w", store))
	case store != nil:
		err = errors.Join(err, fmt.Errorf("the dedupe store %w", store))
	}
	if letter != nil {
		err = errors.Join(err, fmt.Errorf("dead letters cannot be stored on %q: %w", e.o.DeadLetter, letter))
	}
	if failure := e.limit.failure(); failure != nil {
		err = errors.Join(err, fmt.Errorf("the limit cannot be asked, so nothing starts: %w", failure))
	}
	since, reason, down := e.machine.Unavailable()
	if down {
		err = errors.Join(err, fmt.Errorf("the receiver is unavailable since %s: one event at a time is tried as a probe, the last one failed with: %s",
			since.UTC().Format(time.RFC3339), reason))
	}
	if o, ok := e.machine.Overdue(time.Now(), 2*e.o.AckWait); ok && e.pausedSince.IsZero() && !down {
		err = errors.Join(err, fmt.Errorf(
			"%d events of order key %.64q wait for sequence %d, which the bus was to deliver again %v ago: see whether the consumer is paused, or another process holds it",
			o.Waiting, o.Key, o.Sequence, time.Since(o.Due).Round(time.Second)))
	}
	if n, since := e.machine.Isolating(); n > 0 && time.Since(since) > e.o.Lease {
		err = errors.Join(err, fmt.Errorf(
			"nothing is started since %v: an event whose process died runs alone, and waits for %d handlers that began before: they may take up to the run limit of %v",
			time.Since(since).Round(time.Second), n, e.o.RunLimit))
	}
	if n := e.machine.Stuck(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d handlers did not return at the run limit of %v: make them end with their context", n, e.o.RunLimit))
	}
	if info.MaxUnsettled > 0 && info.Unsettled*10 >= info.MaxUnsettled*9 {
		err = errors.Join(err, e.unsettledError(info.Unsettled, info.MaxUnsettled))
	}
	return err
}

// unsettledError says that the bus's bound is almost reached, and names the order key that fills
// it, if one does.
func (e *engine) unsettledError(unsettled, most uint64) error {
	err := fmt.Errorf("%d of at most %d deliveries of group %q are unsettled: the bus is about to hold back fresh events", unsettled, most, e.group)
	if key, n := e.machine.FullestKey(); uint64(n)*2 > unsettled {
		err = fmt.Errorf("%w; %d of them wait for order key %.64q", err, n, key)
	}
	return err
}
