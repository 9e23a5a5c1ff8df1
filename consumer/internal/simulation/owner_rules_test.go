package simulation

import (
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// checkFormer: the next owner begins when the one before has drained, is gone, or its row has
// expired.
func (proc *process) checkFormer() {
	former := proc.sim.owned.former
	if former == nil || former == proc || former.over || former.machine.Drained() {
		return
	}
	if left := former.tenure.granted - proc.sim.elapsed; left > 0 {
		proc.sim.violate("handover", "%s begins to read while %s has not drained, whose row is valid for %v", proc.id, former.id, left)
	}
}

// checkOwner: only the owner starts anything.
func (proc *process) checkOwner(what string) {
	if sim := proc.sim; sim.sc.partitioned() && !sim.owned.owns(proc) {
		sim.violate("owner", "%s %s, and does not own the partition", proc.id, what)
	}
}

// checkRequest: only the owner claims anything. What was requested before it may repeat.
func (proc *process) checkRequest(q dedupe.Request) {
	t := proc.tenure
	if t == nil || t.requested[q.Nonce] {
		return
	}
	t.requested[q.Nonce] = true
	proc.checkOwner("claims " + q.Key.ID)
}

// checkFirst: what an owner reads first is the lowest event that is not settled, or lies below it.
func (proc *process) checkFirst(d *bus.Delivery) {
	for _, e := range proc.sim.journal.events {
		if len(e.sequences) > 0 && e.sequences[0] < d.At.Sequence && !e.concluded() {
			proc.sim.violate("lowest", "%s reads sequence %d first, and %s at %d is not settled", proc.id, d.At.Sequence, e.name, e.sequences[0])
			return
		}
	}
}

// checkKeyOrder: over all processes, an event starts when all earlier ones of its key are settled,
// and none of its key runs elsewhere. The one excuse is a run whose owner was frozen, or cut off,
// and is superseded: its claim was taken over.
func (proc *process) checkKeyOrder(r *run) {
	sim, t := proc.sim, r.event
	if !sim.sc.partitioned() || t.event.Key == "" || t.reused {
		return
	}
	for _, o := range sim.journal.events {
		if o == t || o.event.Key != t.event.Key || o.reused {
			continue
		}
		if len(o.sequences) > 0 && o.sequences[0] < t.sequences[0] && !o.concluded() {
			sim.violate("sequence", "%s began %s of key %s, and %s before it is not settled", proc.id, t.name, t.event.Key, o.name)
		}
		proc.checkBeside(r, o)
	}
	proc.checkBeside(r, t)
}

// checkBeside checks that no run of an event goes on in another process.
func (proc *process) checkBeside(r *run, o *testEvent) {
	for _, other := range o.runs {
		p := other.process
		if p == proc || other.done || p.over || p.overran(other) {
			continue
		}
		if c := other.claim; c != nil && (c.settled || c.lost && p.hadTrouble(c.won, c.ended)) {
			continue // settled: it is committed, and has not heard of that yet
		}
		proc.sim.violate("beside", "%s began %s of key %s beside %v", proc.id, r.event.name, r.event.event.Key, other)
	}
}

// checkFirstEffect: over all processes, the first effects of the events of a key come in the order
// of their sequence.
func (sim *simulation) checkFirstEffect(r *run) {
	t := r.event
	if !sim.sc.partitioned() || t.event.Key == "" || t.reused || len(t.effects) != 1 || t.deadLettered() {
		return
	}
	for _, o := range sim.journal.events {
		if o.event.Key == t.event.Key && !o.reused && len(o.effects) > 0 && o.sequences[0] > t.sequences[0] {
			sim.violate("sequence", "%s of key %s had its first effect after that of %s", t.name, t.event.Key, o.name)
		}
	}
}

// checkCancelled: what runs in a process that has lost the partition is cancelled, as soon as the
// process goes on if it was frozen.
func (proc *process) checkCancelled() {
	if wait := proc.stepsHeldUntil + time.Second - proc.sim.elapsed; wait > 0 {
		proc.sim.after(proc, wait, proc.checkCancelled)
		return
	}
	for _, r := range proc.runs {
		if !r.done && !r.cancelled {
			proc.sim.violate("cancel", "%s has lost the partition, and goes on with %s", proc.id, r.event.name)
		}
	}
}

// checkTold: who has lost the partition tells the bus nothing.
func (proc *process) checkTold(a protocol.Answer) {
	if t := proc.tenure; t != nil && t.lost && a.Kind != protocol.None {
		proc.sim.violate("silent", "%s answered %s after it had lost the partition", proc.id, proc.sim.journal.of(&a.Delivery.Event).name)
	}
}
