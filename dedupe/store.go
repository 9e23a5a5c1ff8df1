package dedupe

import (
	"context"
	"time"
)

// Store is the whole duty of a minimal store, which serves the mode seen/mark. Results are
// parallel to the argument, and keys may repeat in it. Each item has an answer of its own: one
// that is refused never keeps the others from being carried out. The last result, an error, says
// nothing of any item: the caller repeats the call, and every call may be repeated. Safe for
// concurrent use; it blocks until the store has answered or ctx has ended, and does not retry for
// longer than ctx lasts.
type Store interface {
	// Seen reports what is known of each key. An answer other than Fresh must be one that no crash
	// of the store takes back, for the caller acknowledges the event on it. Where Record.Err is
	// set, the key cannot be marked now, and its handler must not run.
	Seen(ctx context.Context, keys []Key) ([]Record, error)
	// Mark writes each mark over whatever is kept under its key, and restarts its TTL. It returns
	// once the marks are as durable as the store promises. Of several marks under one key the last
	// wins. A nil item is stored. Any other was not stored, and the caller repeats that mark alone,
	// backing off; it wraps ErrKeyRefused when no repeat will help, and ErrFull when the store
	// is at its bound.
	Mark(ctx context.Context, marks []Mark) ([]error, error)
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
	// DeadLettering: given up; its dead letter may not be stored yet, and is yours to store.
	DeadLettering
	// Done: the handler succeeded.
	Done
	// Dead: given up on, and the dead letter is stored.
	Dead
)

var stateNames = []string{"fresh", "held", "reused", "dead-lettering", "done", "dead"}

// String is the state's name in lower case, as MongoDB rows and logs have it.
func (s State) String() string { return nameOf(s, stateNames) }

// Record is what a store knows of a key. The zero Record is fresh.
type Record struct {
	// State is Fresh, Done or Dead; of a Claimer also Held (claimed or not due) and
	// DeadLettering.
	State State
	// Hash is the hash of the payload that was marked; nil if none was given.
	Hash []byte
	// Err is set where no handler may run, for a mark would be refused: for ever (it wraps
	// ErrKeyRefused), or while the store is at its bound (ErrFull); State is Fresh then. With Held
	// the row is one that only a later version can read, and is left to that. A store that cannot
	// know leaves it nil, and answers Mark.
	Err error
}

// Mark is the record that an event is done or dead.
type Mark struct {
	Key Key
	// State is Done or Dead.
	State State
	// Hash of the payload, as NewHash makes it; nil: none.
	Hash []byte
	// TTL is how long the mark is kept, from when it is written. Positive.
	TTL time.Duration
}

// GroupRemover forgets a group that is no more. It is found by assertion on a Store, and is safe
// for concurrent use.
type GroupRemover interface {
	// RemoveGroup removes all marks and watermarks of the group, on all topics, and returns how
	// many it has removed. It must not be called while the group has members: what they have
	// handled may run again. It blocks for longer than other calls, until ctx ends. A repeated call
	// removes what is left.
	RemoveGroup(ctx context.Context, group string) (removed int, err error)
}
