package simulation

import (
	"context"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// order is what a process has promised of the events of each order key: to handle them by sequence.
// An event that it nacked keeps its place until it is settled, or another process has had it, or
// the bus has it no more, however long that takes.
type order struct {
	keys map[string]*keyOrder
	came map[*bus.Delivery]time.Duration
	of   map[*bus.Event]*bus.Delivery
	jobs map[*protocol.Job]time.Duration // when the first delivery of each had come

	serial int
}

type keyOrder struct {
	inFlight []inFlight
	nacked   map[bus.Position]nacked
	head     *bus.Delivery // started, and not answered
}

type inFlight struct {
	d      *bus.Delivery
	serial int // in the order in which they first came
}

// nacked is an event that was nacked here, and when it had arrived.
type nacked struct {
	inFlight
	came      time.Duration
	elsewhere bool // it was with another process before it was nacked
}

func newOrder() order {
	return order{
		keys: make(map[string]*keyOrder), came: make(map[*bus.Delivery]time.Duration), of: make(map[*bus.Event]*bus.Delivery),
		jobs: make(map[*protocol.Job]time.Duration),
	}
}

func (o *order) key(key string) *keyOrder {
	k := o.keys[key]
	if k == nil {
		k = &keyOrder{nacked: make(map[bus.Position]nacked)}
		o.keys[key] = k
	}
	return k
}

func (o *order) arrived(l *process, d *bus.Delivery) {
	o.came[d] = l.sim.elapsed
	o.of[&d.Event] = d
	if d.Event.Key == "" {
		return
	}
	k := o.key(d.Event.Key)
	o.serial++
	h := inFlight{d: d, serial: o.serial}
	if old, ok := k.nacked[d.At]; ok {
		if old.binds(l, nil) {
			h.serial = old.serial // it never lost its place
		}
		delete(k.nacked, d.At)
	}
	k.inFlight = append(k.inFlight, h)
}

// before reports whether a delivery came before a time.
func (o *order) before(d *bus.Delivery, at time.Duration) bool { return o.came[d] < at }

func (o *order) started(e *bus.Event) {
	if e.Key != "" {
		o.key(e.Key).head = o.of[e]
	}
}

func (o *order) answered(l *process, a protocol.Answer) {
	d := a.Delivery
	if d.Event.Key == "" || a.Kind == protocol.Progress {
		return
	}
	k := o.key(d.Event.Key)
	n := nacked{came: o.came[d]}
	if came, ok := o.jobs[a.Job]; ok {
		n.came = min(n.came, came)
	}
	if a.Job != nil {
		o.jobs[a.Job] = n.came
	}
	for i, h := range k.inFlight {
		if h.d == d {
			n.inFlight = h
			k.inFlight = append(k.inFlight[:i:i], k.inFlight[i+1:]...)
			break
		}
	}
	if k.head == d {
		k.head = nil
	}
	switch a.Outcome {
	case protocol.Handled, protocol.Duplicate, protocol.Dead, protocol.Lost:
	default:
		if n.d != nil { // else it was answered before
			n.elsewhere = l.elsewhere(l.sim.journal.of(&d.Event).key, n.came)
			k.nacked[d.At] = n
		}
	}
}

// check tells what must come before an event that is about to start; nil: nothing.
func (o *order) check(l *process, e *bus.Event) (first *bus.Event, seq uint64) {
	if e.Key == "" {
		return nil, 0
	}
	w, k := l.sim, o.key(e.Key)
	if k.head != nil {
		return &k.head.Event, k.head.At.Sequence
	}
	t := w.journal.of(e)
	place, serial := k.place(w, t)
	for _, h := range k.inFlight {
		o := w.journal.of(&h.d.Event) // one whose id is reused may wait for the other
		if h.d.At.Sequence < place && o != t && !o.reused && h.serial < serial {
			return &h.d.Event, h.d.At.Sequence
		}
	}
	for at, n := range k.nacked {
		if at.Sequence < place && n.serial < serial && n.binds(l, t) && (first == nil || at.Sequence < seq) {
			first, seq = &n.d.Event, at.Sequence
		}
	}
	return first, seq
}

// binds reports whether a nacked event still goes before another one.
func (n *nacked) binds(l *process, t *testEvent) bool {
	w := l.sim
	o := w.journal.of(&n.d.Event)
	return !n.elsewhere && o != t && !o.reused && !o.concluded() && !w.gone(n.d.At) && !l.elsewhere(o.key, n.came)
}

// elsewhere reports whether another process has had a key since.
func (l *process) elsewhere(k dedupe.Key, since time.Duration) bool {
	r := l.sim.ledger.rows[k]
	if r == nil {
		return false
	}
	for _, c := range r.claims {
		if c.life == l {
			continue
		}
		burying := c.outcome == dedupe.GivenUp && c.until.After(l.sim.storeTime.at(since))
		if c.won >= since || c.ended >= since || burying || (!c.settled && !c.lost) {
			return true
		}
	}
	last := r.last() // what another has failed is its own until it is due
	return last != nil && last.life != l && r.due.After(l.sim.storeTime.at(since))
}

// place is the lowest sequence of a thing's copies in flight, and when the first of them came.
func (k *keyOrder) place(w *simulation, t *testEvent) (seq uint64, serial int) {
	for _, h := range k.inFlight {
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

// gone: the bus does not deliver the event any more: it was deleted, lies in what a restore has
// undone, or is settled by the bus's count, as by an ack for what lay there before.
func (w *simulation) gone(at bus.Position) bool {
	there, err := bus.Exists(context.Background(), w.bus, []bus.Position{at})
	w.must(err)
	info, infoErr := w.workers[0].src.Info(context.Background())
	return err == nil && (!there[0] || (infoErr == nil && at.Sequence <= info.Floor))
}

// checkGone: only what the bus dropped is given up for that, and only while nobody has settled it.
func (l *process) checkGone(g protocol.Gone, wasGone bool) {
	w := l.sim
	t := w.journal.of(&l.latest[g.Key].Event)
	if rowless := t.script == refused || t.reused; !rowless && !wasGone && !l.cursorLost && !w.gone(g.At) { // a cursor that is lost knows only what was before
		w.violate("I1", "%s takes sequence %d for dropped, and it is there", l.id, g.At.Sequence)
	}
	for _, k := range l.order.keys {
		n, ok := k.nacked[g.At]
		delete(k.nacked, g.At) // for good: a restore that brings it back delivers it as any other event
		if ok && g.Kept {
			k.inFlight = append(k.inFlight, n.inFlight) // it is dead-lettered at its place
		}
	}
}
