package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Healthy returns why events may not be handled; nil while all is well, which includes paused and
// draining. Once the subscription has ended it returns an error.
func (s *Subscription) Healthy() error {
	select {
	case <-s.done:
		return errors.Join(errors.New("the subscription has ended"), s.err)
	default:
		return s.healthError()
	}
}

// Stalled returns why nothing starts again in this process, although another process could handle
// the events: handlers that did not return at the run limit hold every slot. It is nil otherwise,
// and once the subscription has ended. It asks neither bus nor store, so their outages are no
// reason. It blocks only where the subscription's own loop does, and is safe for concurrent use.
func (s *Subscription) Stalled() error {
	select {
	case <-s.done:
		return nil
	default:
	}
	stuck := 0
	for _, e := range s.engines.list() {
		stuck += e.stuckHandlers()
	}
	if stuck += s.slots.handlersLeftBehind(); stuck < s.options.Concurrency {
		return nil
	}
	return fmt.Errorf("all %d slots of the subscription to %q are held by handlers that did not return at the run limit of %v",
		stuck, s.subscribed, s.options.RunLimit)
}

func (e *engine) stuckHandlers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.machine.Stuck()
}

// healthError is everything that is known to be wrong.
func (s *Subscription) healthError() error {
	_, pausedSince := s.engines.paused()
	isPaused := !pausedSince.IsZero()
	var err error
	if s.partitions != nil {
		err = s.partitions.healthError(isPaused)
	} else {
		for _, e := range s.engines.list() {
			err = errors.Join(err, e.healthError(isPaused))
		}
	}
	if failure := s.limit.failure(); failure != nil {
		err = errors.Join(err, fmt.Errorf("the limit cannot be asked, so nothing starts: %w", failure))
	}
	return err
}

// healthError is everything that is known to be wrong with the engine.
func (e *engine) healthError(isPaused bool) error {
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
	since, reason, down := e.machine.Unavailable()
	if down {
		err = errors.Join(err, fmt.Errorf("the receiver is unavailable since %s: one event at a time is tried as a probe, the last one failed with: %s",
			since.UTC().Format(time.RFC3339), reason))
	}
	if o, ok := e.machine.Overdue(time.Now(), 2*e.o.AckWait); ok && !isPaused && !down {
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
