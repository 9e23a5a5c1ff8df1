package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Observer is told how each delivery ended. Observe is called by one goroutine at a time, before
// the bus is told, and must not block.
type Observer interface{ Observe(Observation) }

// Observation describes the end of one delivery.
type Observation struct {
	// Outcome is one of "handled", "duplicate", "skipped" (it is no event of this group),
	// "failed", "snoozed", "deferred" (it was throttled, or the receiver was unavailable: no
	// attempt), "dead", "dead_letter_pending" (the dead letter could not be stored yet), "held"
	// (another copy is being worked on, or it is not due), "given back" (it never ran), "lost"
	// (another process has it), "unresolved" (it is not known whether its transaction was
	// committed; the event is redelivered).
	Outcome string
	// At is the position of the event.
	At bus.Position
	// Key is what the store knows the event by. It is zero for what was skipped, and for a
	// duplicate that was recognised by its position alone.
	Key dedupe.Key
	// Attempt is the number of the run; 0 if there was none.
	Attempt int
	// Took is how long the run took.
	Took time.Duration
	// Err is what the handler returned.
	Err error
}

// healthError is everything that is known to be wrong.
func (e *engine) healthError() error {
	info := e.cursor.Polled()
	err := e.cursor.Source().Healthy()
	e.mu.Lock()
	defer e.mu.Unlock()
	err = errors.Join(err, e.endedBy)
	store, letter := e.machine.Trouble()
	if store != nil {
		err = errors.Join(err, fmt.Errorf("the dedupe store %w", store))
	}
	if letter != nil {
		err = errors.Join(err, fmt.Errorf("dead letters cannot be stored on %q: %w", e.o.DeadLetter, letter))
	}
	receiver := receiverError(e.machine)
	err = errors.Join(err, receiver)
	if o, ok := e.machine.Overdue(e.now(), 2*e.o.AckWait); ok && e.pausedSince.IsZero() && receiver == nil {
		err = errors.Join(err, fmt.Errorf(
			"%d events of order key %.64q wait for sequence %d, which the bus was to deliver again %v ago: see whether the consumer is paused, or another process holds it",
			o.Waiting, o.Key, o.Sequence, e.now().Sub(o.Due).Round(time.Second)))
	}
	if n, since := e.machine.Isolating(); n > 0 && e.now().Sub(since) > e.o.Lease {
		err = errors.Join(err, fmt.Errorf(
			"nothing is started since %v: an event whose process died runs alone, and waits for %d handlers that began before: they may take up to the run limit of %v",
			e.now().Sub(since).Round(time.Second), n, e.o.RunLimit))
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
