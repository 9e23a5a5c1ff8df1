package consumertest

import (
	"fmt"
	"strings"
)

// step is something that a process does on the way of an event.
type step struct {
	kind  stepKind
	event string // the event's label
	call  string // the name of the call; empty: it is no step of a call
	n     int    // counts the steps that are alike, from 1
}

type stepKind uint8

const (
	noStep stepKind = iota
	beforeClaim
	afterClaim
	beforeHandler
	beforeCall
	afterCall
	callSucceeded // before its caller learns of it
	afterHandler
	beforeMark
	afterMark
	afterAck
)

var stepNames = map[stepKind]string{
	beforeClaim: "before the claim", afterClaim: "after the claim", beforeHandler: "before the handler",
	beforeCall: "before call", afterCall: "after call", callSucceeded: "of call", afterHandler: "after the handler returned",
	beforeMark: "before the mark", afterMark: "after the mark", afterAck: "after the ack",
}

// String names the step and its event, as in `after call "charge" (event order-1)`.
func (s step) String() string {
	var b strings.Builder
	b.WriteString(stepNames[s.kind])
	if s.call != "" {
		fmt.Fprintf(&b, " %q", s.call)
	}
	if s.n > 1 {
		fmt.Fprintf(&b, " number %d", s.n)
	}
	fmt.Fprintf(&b, " (event %s)", s.event)
	return b.String()
}
