package simulation

import (
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// order is what a process owes to the events of each order key: to handle them by sequence.
type order struct {
	lanes map[string]*lane
	came  map[*bus.Delivery]time.Duration
	of    map[*bus.Event]*bus.Delivery

	serial int
}

type lane struct {
	hand   []inHand
	owed   map[uint64]debt
	passed map[uint64]bool // naked, and overdue once: others may have gone ahead
	head   *bus.Delivery   // started, and not answered
}

type inHand struct {
	d      *bus.Delivery
	serial int // in the order in which they first came
}

// debt is an event that was naked here: until then nothing goes before it that came later.
type debt struct {
	inHand
	until time.Time
}

func newOrder() order {
	return order{
		lanes: make(map[string]*lane), came: make(map[*bus.Delivery]time.Duration), of: make(map[*bus.Event]*bus.Delivery),
	}
}

func (o *order) lane(key string) *lane {
	n := o.lanes[key]
	if n == nil {
		n = &lane{owed: make(map[uint64]debt), passed: make(map[uint64]bool)}
		o.lanes[key] = n
	}
	return n
}

func (o *order) arrived(d *bus.Delivery, now time.Time, at time.Duration) {
	o.came[d] = at
	o.of[&d.Event] = d
	if d.Event.Key == "" {
		return
	}
	n := o.lane(d.Event.Key)
	o.serial++
	h := inHand{d: d, serial: o.serial}
	switch old, ok := n.owed[d.At.Sequence]; {
	case ok && now.Before(old.until):
		h.serial = old.serial // it never lost its place
	case ok:
		n.passed[d.At.Sequence] = true
	}
	n.hand = append(n.hand, h)
	delete(n.owed, d.At.Sequence)
}

// before reports whether a delivery came before a time.
func (o *order) before(d *bus.Delivery, at time.Duration) bool { return o.came[d] < at }

func (o *order) started(e *bus.Event) {
	if e.Key != "" {
		o.lane(e.Key).head = o.of[e]
	}
}

func (o *order) answered(a protocol.Answer, now time.Time, ackWait time.Duration) {
	d := a.Delivery
	if d.Event.Key == "" || a.Kind == protocol.Progress {
		return
	}
	n, owes := o.lane(d.Event.Key), debt{until: now.Add(a.After + ackWait)}
	for i, h := range n.hand {
		if h.d == d {
			owes.inHand = h
			n.hand = append(n.hand[:i:i], n.hand[i+1:]...)
			break
		}
	}
	if n.head == d {
		n.head = nil
	}
	if owes.d == nil {
		return // answered before
	}
	switch a.Outcome {
	case protocol.Handled, protocol.Duplicate, protocol.Dead:
		delete(n.owed, d.At.Sequence)
	default:
		if n.passed[d.At.Sequence] {
			return
		}
		n.owed[d.At.Sequence] = owes
	}
}

// check tells what must come before an event that is about to start; nil: nothing.
func (o *order) check(w *world, e *bus.Event, now time.Time) (first *bus.Event, seq uint64) {
	if e.Key == "" {
		return nil, 0
	}
	n := o.lane(e.Key)
	if n.head != nil {
		return &n.head.Event, n.head.At.Sequence
	}
	t := w.journal.of(e)
	place, serial := n.place(w, t)
	for _, h := range n.hand {
		o := w.journal.of(&h.d.Event) // one whose id is reused may wait for the other
		if h.d.At.Sequence < place && o != t && !o.reused && h.serial < serial {
			return &h.d.Event, h.d.At.Sequence
		}
	}
	for seq := uint64(1); seq < place && len(n.owed) > 0; seq++ {
		if h, ok := n.owed[seq]; ok && now.Before(h.until) && h.serial < serial && !w.journal.of(&h.d.Event).reused {
			return e, seq
		}
	}
	return nil, 0
}

// forget what is owed: sequences may be used again.
func (o *order) forget() {
	for _, n := range o.lanes {
		clear(n.owed)
	}
}

// place is the lowest sequence of a thing's copies in hand, and when the first of them came.
func (n *lane) place(w *world, t *thing) (seq uint64, serial int) {
	for _, h := range n.hand {
		if w.journal.of(&h.d.Event) != t {
			continue
		}
		if seq == 0 {
			seq, serial = h.d.At.Sequence, h.serial
		}
		seq = min(seq, h.d.At.Sequence)
	}
	return seq, serial
}
