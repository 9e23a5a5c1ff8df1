package dedupe

import (
	"context"
	"time"
)

// Inspector reports all that a store keeps of a key, for those who ask what became of an event. It
// is found by assertion on a Store.
type Inspector interface {
	// Inspect returns an Entry for each key, and changes nothing. Keys may repeat. It blocks for a
	// round trip or two, does not retry, and is safe for concurrent use.
	Inspect(ctx context.Context, keys []Key) ([]Entry, error)
}

// Entry is what a store keeps of a key. The zero Entry is that of a key of which it keeps nothing.
// Durations are by the store's clock.
type Entry struct {
	Phase Phase
	// Owner is the nonce of the last claim; empty: there was none, or the store keeps no nonces.
	Owner string
	// Token is the fencing token of the last claim.
	Token uint64
	// HeldFor is what is left of the lease (claimed, dead-lettering), or until the key is due
	// (free). At least 0.
	HeldFor time.Duration
	// Age is the time since the key was first claimed; 0: it was not, or was reopened.
	Age time.Duration
	// ExpiresIn is for how much longer the row is kept.
	ExpiresIn time.Duration
	// Hash of the payload, as NewHash makes it; nil: none.
	Hash []byte
	// Attempts is how many runs ended in a failure, Crashes how many claims ended by their lease
	// alone.
	Attempts, Crashes int
	// Reason (dead-lettering) is why the event was given up.
	Reason string
	// Letter (dead-lettering) is the id of its dead letter.
	Letter string
	// History is the last failed attempts, at most MaxHistory, the earliest first. It stays when
	// the event is done, dead or reopened, until the row expires or a Mark is written over it.
	History []Attempt
	// Note is what a Noter keeps with the key; empty: nothing.
	Note string
	// Err is set where this version cannot read the row; the other fields are zero then.
	Err error
}
