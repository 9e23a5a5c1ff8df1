package handlers

import "math"

// delivery is an event that a child is told of. Its fields are guarded by the child's mutex, but
// for the channel.
type delivery struct {
	key    string
	number uint64
	line   []byte // until it is written
	begins int64  // where, in what is written to the child
	left   bool   // nobody waits for it any more
	late   bool   // it has reached its run limit
	ended  chan outcome
}

// unwritten is where a line begins that was not written yet.
const unwritten = math.MaxInt64

// outcome is how a delivery ended.
type outcome struct {
	fate   fate
	answer *answer // of answered
	err    error   // of the others but unread
}

type fate uint8

const (
	answered  fate = iota
	unread         // the child has ended, and read nothing of it
	failed         // the child has ended because of it
	suspect        // the child has ended, because of it or of others
	bystander      // the child has ended, and not because of it
	forsaken       // its ctx has ended
	unsent         // no child was told of it
	crowded        // it is a suspect, and others run first
)
