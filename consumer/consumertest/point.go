package consumertest

import (
	"slices"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// fault is what goes wrong in a run.
type fault uint8

const (
	noFault fault = iota
	crash
	freeze
	loseAnswer
	failCall
	redeliver
	republish
	reverse
)

// point is a fault, and the step at which it happens; a fault of all events has no step.
type point struct {
	fault fault
	at    step
}

// String says what happens, and where.
func (p point) String() string {
	switch p.fault {
	case noFault:
		return "no fault, a second time"
	case crash:
		return "crash " + p.at.String()
	case freeze:
		return "freeze " + p.at.String() + " until another process has handled it"
	case loseAnswer:
		return "lost answer " + p.answer()
	case failCall:
		return strings.Replace(p.at.String(), stepNames[beforeCall], "failure of call", 1)
	case redeliver:
		return "every event redelivered"
	case republish:
		return "every event published twice"
	case reverse:
		return "events published in reverse"
	}
	return "unknown fault"
}

// answer names the answer that is lost: of a call, or of the mark.
func (p point) answer() string {
	if p.at.kind == afterMark {
		return strings.Replace(p.at.String(), stepNames[afterMark], "of the mark", 1)
	}
	return p.at.String()
}

// findPoints returns the points of a run without faults, of which the steps are given in their
// order. Events that were published in another order are a point if there is another one.
func findPoints(steps []step, canReverse bool) []point {
	points := []point{{fault: noFault}}
	for _, s := range steps {
		switch s.kind {
		case beforeHandler:
			points = append(points, point{crash, s}, point{freeze, s})
		case beforeCall:
			points = append(points, point{crash, s}, point{freeze, s}, point{failCall, s})
		case callSucceeded:
			points = append(points, point{loseAnswer, s})
		case afterMark:
			points = append(points, point{loseAnswer, s}, point{crash, s})
		default:
			points = append(points, point{crash, s})
		}
	}
	points = append(points, point{fault: redeliver}, point{fault: republish})
	if canReverse {
		points = append(points, point{fault: reverse})
	}
	return points
}

// orderKeyOf returns the function that decides which events run one after the other.
func orderKeyOf(o *consumer.Options) func(bus.Event) string {
	switch {
	case o.OrderKey != nil:
		return o.OrderKey
	case o.Order == consumer.Unordered:
		return func(bus.Event) string { return "" }
	case o.Order == consumer.ByTopic:
		return func(e bus.Event) string { return e.Topic }
	}
	return func(e bus.Event) string { return e.Key }
}

// reverseKeys returns the events in reverse, but for those of one order key, which stay in their
// order among themselves: no publisher exchanges them.
func reverseKeys(events []bus.Event, orderKey func(bus.Event) string) []bus.Event {
	out := slices.Clone(events)
	slices.Reverse(out)
	inOrder := make(map[string][]bus.Event)
	for _, e := range events {
		inOrder[orderKey(e)] = append(inOrder[orderKey(e)], e)
	}
	for i := range out {
		if key := orderKey(out[i]); key != "" {
			out[i], inOrder[key] = inOrder[key][0], inOrder[key][1:]
		}
	}
	return out
}
