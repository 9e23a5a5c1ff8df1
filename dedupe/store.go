package dedupe

import (
	"context"
	"time"
)

// Store is the whole duty of a minimal store, which serves the mode seen/mark. Results are parallel to
// the argument, and keys may repeat in it. An error says nothing of any item: the caller repeats the call, and every
// call may be repeated. Safe for concurrent use; it blocks until the store has answered or ctx has ended, and
// does not retry for longer than ctx lasts.
type Store interface {
	// Seen tells what is known of each key. An answer other than Fresh must be one that no crash of the store takes
	// back, for the caller acknowledges the event on it.
	Seen(ctx context.Context, keys []Key) ([]Record, error)
	// Mark writes each mark over whatever is kept under its key, and starts its TTL anew. It returns once the marks
	// are as durable as the store promises. Of several marks under one key the last wins.
	Mark(ctx context.Context, marks []Mark) error
}

// State is what a store knows of a key, or answers to a claim.
type State uint8

const (
	// Fresh: not there, expired, or free and due. In a Claim: it is yours now.
	Fresh State = iota
	// Held: somebody's lease runs, or it is not due yet. Nothing was claimed.
	Held
	// Reused: the id was first seen with another payload. Nothing was claimed or changed.
	Reused
	// Dying: given up on, and yours to bury: its dead letter may not be stored yet.
	Dying
	// Done: the handler succeeded.
	Done
	// Dead: given up on, and the dead letter is stored.
	Dead
)

// String is the state's name in lower case, as MongoDB rows and logs have it.
func (s State) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case Held:
		return "held"
	case Reused:
		return "reused"
	case Dying:
		return "dying"
	case Done:
		return "done"
	case Dead:
		return "dead"
	}
	return "unknown"
}

// Record is what a store knows of a key. The zero Record is fresh.
type Record struct {
	// State is Fresh, Done or Dead; of a Claimer also Held (claimed or not due) and Dying.
	State State
	// Hash is the hash of the payload that was marked; nil if none was given.
	Hash []byte
}

// Mark is the record that an event is done or dead.
type Mark struct {
	Key Key
	// State is Done or Dead.
	State State
	// Hash of the payload; nil: none.
	Hash []byte
	// TTL is how long the mark is kept, from when it is written. Positive.
	TTL time.Duration
}
