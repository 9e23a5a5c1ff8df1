package exec

import "math"

// streamDelivery is an event that a child is told of. Its fields are guarded by the child's mutex,
// but for the channel.
type streamDelivery struct {
	key          string
	number       uint64
	line         []byte // until it is written
	batch        uint64 // see streamEvent
	writtenAt    int64  // where, in what is written to the child
	abandoned    bool   // nobody waits for it any more
	pastRunLimit bool   // it has reached its run limit
	ended        chan deliveryOutcome
}

// unwritten is where a line begins that was not written yet.
const unwritten = math.MaxInt64

// deliveryOutcome is how a delivery ended.
type deliveryOutcome struct {
	fate   deliveryFate
	answer *streamAnswer // of answered
	err    error         // of the others but unread
}

type deliveryFate uint8

const (
	fateAnswered  deliveryFate = iota
	fateUnread                 // the child has ended, and read nothing of it
	fateFailed                 // the child has ended because of it
	fateSuspect                // the child has ended, because of it or of others
	fateBystander              // the child has ended, and not because of it
	fateAbandoned              // its ctx has ended
	fateUnsent                 // no child was told of it
	fateDeferred               // it is a suspect, and others run first
)
