package consumer

import (
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
