package simulation

import (
	"context"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// orderTracker is what a process has promised of the events of each order key: to handle them by
// sequence. An event that it nacked keeps its place until it is settled, or another process has had
// it, or the bus has it no more, however long that takes.
type orderTracker struct {
	keys map[string]*keyOrder
	came map[*bus.Delivery]time.Duration
	of   map[*bus.Event]*bus.Delivery
	jobs map[*protocol.Job]time.Duration // when the first delivery of each had come

	serial int
}

type keyOrder struct {
	inFlight []inFlight
	nacked   map[bus.Position]nacked // by placeOf
	lapsed   map[bus.Position]nacked // answered as Lost: they bind nothing, and some are expected all the same
	head     *bus.Delivery           // started, and not answered
}

type inFlight struct {
	d      *bus.Delivery
	serial int // in the order in which they first came
}

// placeOf is a position without the incarnation of its stream, as the Machine knows it: a restored
// stream has another one, and the same events.
func placeOf(at bus.Position) bus.Position {
	at.Stream = ""
	return at
}

// nacked is an event that was nacked here, and when it had arrived.
type nacked struct {
	inFlight
	came      time.Duration
	elsewhere bool // it was with another process before it was nacked
}

func newOrder() orderTracker {
	return orderTracker{
		keys: make(map[string]*keyOrder), came: make(map[*bus.Delivery]time.Duration), of: make(map[*bus.Event]*bus.Delivery),
		jobs: make(map[*protocol.Job]time.Duration),
	}
}

func (o *orderTracker) key(key string) *keyOrder {
	k := o.keys[key]
	if k == nil {
		k = &keyOrder{nacked: make(map[bus.Position]nacked), lapsed: make(map[bus.Position]nacked)}
		o.keys[key] = k
	}
	return k
}

func (o *orderTracker) noteArrived(proc *process, d *bus.Delivery) {
	o.came[d] = proc.sim.elapsed
	o.of[&d.Event] = d
	if d.Event.Key == "" {
		return
	}
	k := o.key(d.Event.Key)
	o.serial++
	h := inFlight{d: d, serial: o.serial}
	if old, ok := k.nacked[placeOf(d.At)]; ok {
		if old.binds(proc, nil) {
			h.serial = old.serial // it never lost its place
		}
		delete(k.nacked, placeOf(d.At))
	}
	delete(k.lapsed, placeOf(d.At))
	k.inFlight = append(k.inFlight, h)
}

// before reports whether a delivery arrived before a time.
func (o *orderTracker) before(d *bus.Delivery, at time.Duration) bool { return o.came[d] < at }

func (o *orderTracker) noteStarted(e *bus.Event) {
	if e.Key != "" {
		o.key(e.Key).head = o.of[e]
	}
}

func (o *orderTracker) noteAnswered(proc *process, a protocol.Answer) {
	d := a.Delivery
	if d.Event.Key == "" || a.Kind == protocol.ExtendAckWait {
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
	if n.d == nil {
		return // it was answered before
	}
	switch a.Outcome {
	case protocol.Handled, protocol.Duplicate, protocol.Dead:
	case protocol.Lost:
		k.lapsed[placeOf(d.At)] = n
	default:
		n.elsewhere = proc.elsewhere(proc.sim.journal.of(&d.Event).key, n.came)
		k.nacked[placeOf(d.At)] = n
	}
}

// blockingEvent returns what must come before an event that is about to start; nil if nothing must.
func (o *orderTracker) blockingEvent(proc *process, e *bus.Event) (first *bus.Event, seq uint64) {
	if e.Key == "" {
		return nil, 0
	}
	sim, k := proc.sim, o.key(e.Key)
	if k.head != nil {
		return &k.head.Event, k.head.At.Sequence
	}
	t := sim.journal.of(e)
	place, serial := k.place(sim, t)
	for _, h := range k.inFlight {
		o := sim.journal.of(&h.d.Event) // one whose id is reused may wait for the other
		if h.d.At.Sequence < place && o != t && !o.reused && h.serial < serial {
			return &h.d.Event, h.d.At.Sequence
		}
	}
	for at, n := range k.nacked {
		if at.Sequence < place && n.serial < serial && n.binds(proc, t) && (first == nil || at.Sequence < seq) {
			first, seq = &n.d.Event, at.Sequence
		}
	}
	return first, seq
}

// binds reports whether a nacked event still goes before another one.
func (n *nacked) binds(proc *process, t *testEvent) bool {
	sim := proc.sim
	o := sim.journal.of(&n.d.Event)
	return !n.elsewhere && o != t && !o.reused && !o.concluded() && !sim.gone(n.d.At) && !proc.elsewhere(o.key, n.came)
}

// elsewhere reports whether another process has had a key since.
func (proc *process) elsewhere(k dedupe.Key, since time.Duration) bool {
	r := proc.sim.ledger.rows[k]
	if r == nil {
		return false
	}
	for _, c := range r.claims {
		if c.process == proc {
			continue
		}
		deadLettering := c.outcome == dedupe.GivenUp && c.until.After(proc.sim.storeTime.at(since))
		if c.won >= since || c.ended >= since || deadLettering || (!c.settled && !c.lost) {
			return true
		}
	}
	last := r.last() // what another has failed is its own until it is due
	return last != nil && last.process != proc && r.due.After(proc.sim.storeTime.at(since))
}

// place is the lowest sequence of an event's copies in flight, and when the first of them came.
func (k *keyOrder) place(sim *simulation, t *testEvent) (seq uint64, serial int) {
	for _, h := range k.inFlight {
		if sim.journal.of(&h.d.Event) != t {
			continue
		}
		if seq == 0 {
			seq, serial = h.d.At.Sequence, h.serial
		}
		seq = min(seq, h.d.At.Sequence)
	}
	return seq, serial
}

// gone reports whether the bus does not deliver the event any more: it was deleted, lies in what a
// restore has undone, or is settled by the bus's count, as by an ack for what lay there before.
func (sim *simulation) gone(at bus.Position) bool {
	there, err := bus.Exists(context.Background(), sim.bus, []bus.Position{at})
	sim.must(err)
	info, infoErr := sim.processes[0].source.Info(context.Background())
	return err == nil && (!there[0] || (infoErr == nil && at.Sequence <= info.Floor))
}

// checkGone checks that only an event which the bus dropped, and nobody has settled, is given up
// for that.
func (proc *process) checkGone(g protocol.Gone, wasGone bool) {
	sim := proc.sim
	t := sim.journal.of(&proc.latest[g.Key].Event)
	rowless := t.script == refused || t.reused
	// Without a store for it each process has a watermark of its own. After a restore, others may
	// go on below that; it acks unrun what lies there, so what it has in flight it gives up.
	ownMark := sim.sc.unkept && sim.faults.restored
	// What the stream had dropped once, a restore brings back below the watermark of the group. A
	// consumer that was made before the watermark was stored delivers it all the same.
	broughtBack := t.lost && sim.faults.restored && bus.Position(sim.kept(g.At.Stream).Position).Covers(g.At)
	if !rowless && !ownMark && !broughtBack && !wasGone && !proc.cursorLost && !sim.gone(g.At) { // a cursor that is lost knows only what was before
		sim.violate("I1", "%s takes sequence %d for dropped, and it is there", proc.id, g.At.Sequence)
	}
	for _, k := range proc.order.keys {
		n, ok := k.nacked[placeOf(g.At)]
		if !ok {
			n, ok = k.lapsed[placeOf(g.At)]
		}
		delete(k.nacked, placeOf(g.At)) // for good: a restore that brings it back delivers it as any other event
		delete(k.lapsed, placeOf(g.At))
		if ok && g.Kept {
			k.inFlight = append(k.inFlight, n.inFlight) // it is dead-lettered at its place
		}
	}
}
