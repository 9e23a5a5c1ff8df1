package simulation

import (
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// checkStart holds a start against every rule about starts.
func (proc *process) checkStart(j *protocol.Job, r *run) {
	sim, t := proc.sim, r.event
	if proc.paused || proc.capacity == 0 {
		sim.violate("I8", "%s began %s while paused, or its gate is shut", proc.id, t.name)
	}
	if proc.draining {
		sim.violate("I9", "%s began %s while draining", proc.id, t.name)
	}
	if t.script == malformed || t.script == refused {
		sim.violate("I11", "%s began %s, which is %s", proc.id, t.name, t.script)
	}
	if first, seq := proc.order.blockingEvent(proc, j.Event()); first != nil {
		sim.violate("order", "%s began %s of key %s before sequence %d (%s)", proc.id, t.name, j.Event().Key, seq, sim.journal.of(first).name)
	}
	for o, other := range proc.runs {
		if o.Key() == j.Key() && !other.done {
			sim.violate("twice", "%s began %s while another run of it has not returned", proc.id, t.name)
		}
	}
	proc.checkRoom(r)
	proc.checkPayload(t)
	proc.checkKnown(j, t)
	proc.checkExposed(t)
	proc.checkProbe(r)
	proc.checkOwner("began " + t.name)
	proc.checkKeyOrder(r)
	if !sim.sc.marks {
		proc.checkClaim(j, r)
		proc.checkAlone(j, t)
	}
}

// checkClaim: a run needs a claim with a third of its lease left, of a key that is due.
func (proc *process) checkClaim(j *protocol.Job, r *run) {
	sim, t := proc.sim, r.event
	if r.claim == nil {
		sim.violate("I6", "%s began %s without a claim", proc.id, t.name)
		return
	}
	row, now := sim.ledger.rows[j.Key()], sim.ledger.now()
	slack := time.Millisecond + sim.sc.protocol.Lease/1_000_000*time.Duration(sim.sc.drift)
	if left := r.claim.until.Sub(now); left < sim.sc.protocol.Lease/3-slack {
		sim.violate("third", "%s began %s with %v left of a lease of %v", proc.id, t.name, left, sim.sc.protocol.Lease)
	}
	if r.claim.told {
		sim.violate("I6", "%s began %s, whose claim it knew to have lost", proc.id, t.name)
	}
	if sim.sc.transact && r.claim.asked {
		sim.violate("locked", "%s began %s while it renews it", proc.id, t.name)
	}
	if reclaimed := r.claim.rowGone; now.Before(row.due) && !reclaimed { // else it is due under a row that its owner does not know of
		sim.violate("due", "%s began %s, which is due in %v", proc.id, t.name, row.due.Sub(now))
	}
	if row.last() == r.claim && j.Attempt() != row.attempts+1 {
		sim.violate("I11", "%s began attempt %d of %s, which has %d", proc.id, j.Attempt(), t.name, row.attempts)
	}
}

// noteNoRoom notes, in mode seen/mark, since when a mark is refused for want of room.
func (proc *process) noteNoRoom(k dedupe.Key, err error) {
	if !proc.sim.sc.marks {
		return
	}
	if !errors.Is(err, dedupe.ErrFull) {
		delete(proc.noRoom, k)
	} else if _, ok := proc.noRoom[k]; !ok {
		proc.noRoom[k] = proc.sim.elapsed
	}
}

// checkRoom: in mode seen/mark nothing is claimed, and then run, while a mark is refused because
// the store is full.
func (proc *process) checkRoom(r *run) {
	for k, since := range proc.noRoom {
		if r.claim != nil && r.claim.won > since {
			proc.sim.violate("room", "%s began %s, which was claimed while the mark of %s was refused", proc.id, r.event.name, k.ID)
			return
		}
	}
}

// checkExposed: so many events have started and are not settled, as far as the store knows: what a
// crash repeats.
func (proc *process) checkExposed(t *testEvent) {
	exposed, most := 1, max(proc.sim.sc.protocol.MaxUnmarked, proc.sim.sc.protocol.Concurrency)
	for nonce := range proc.heldClaims {
		if c := proc.sim.ledger.owner[nonce]; c != nil && c.process == proc && c.run != nil && !c.settled {
			exposed++
		}
	}
	if exposed > most {
		proc.sim.violate("exposed", "%s began %s, and %d events have started and are not settled, of at most %d", proc.id, t.name, exposed, most)
	}
}

// checkProbe: while the receiver is taken to be unavailable, one event runs at a time, but for
// those that began before.
func (proc *process) checkProbe(r *run) {
	for _, other := range proc.runs {
		if r.probe && other.probe && !other.done && !proc.overran(other) {
			proc.sim.violate("probe", "%s began %s as a probe beside %s", proc.id, r.event.name, other.event.name)
		}
	}
}

// checkPayload: of two payloads under one id only the first is handled.
func (proc *process) checkPayload(t *testEvent) {
	if !t.reused || proc.sim.expired || proc.sim.sc.marks {
		return
	}
	for _, o := range proc.sim.journal.events {
		if o != t && o.key == t.key && !o.forgotten && (o.marked || len(o.runs) > 0) {
			proc.sim.violate("payload", "%s began %s, whose id is that of %s", proc.id, t.name, o.name)
		}
	}
}

// checkKnown: a process that had a success runs the event again only if another took it.
func (proc *process) checkKnown(j *protocol.Job, t *testEvent) {
	known := proc.successes[j.Key()]
	if known == nil || known.ended-known.began >= proc.sim.sc.protocol.RunLimit {
		return // none, or one that came after it was counted as an attempt
	}
	cs := proc.sim.ledger.rows[j.Key()].claims
	for i, c := range cs[:len(cs)-1] {
		if c == known.claim && cs[i+1].process != proc {
			return
		}
	}
	proc.sim.violate("known", "%s began %s again after it succeeded there", proc.id, t.name)
}

// checkAlone: a suspect runs beside suspects, one of two crashes beside nothing.
func (proc *process) checkAlone(j *protocol.Job, t *testEvent) {
	crashes, beside, innocent := j.Crashes(), len(proc.heldClaims)-1, 0
	for _, c := range proc.heldClaims {
		if c == 0 {
			innocent++
		}
	}
	suspect := false
	for o, r := range proc.runs {
		suspect = suspect || (o.Crashes() > 0 && !r.done && !proc.overran(r))
	}
	switch {
	case crashes == 0 && suspect:
		proc.sim.violate("alone", "%s began %s beside a suspect", proc.id, t.name)
	case crashes == 1 && innocent+len(proc.asked) > 0:
		proc.sim.violate("alone", "%s began %s, a suspect, beside %d others", proc.id, t.name, innocent+len(proc.asked))
	case crashes > 1 && beside+len(proc.asked) > 0:
		proc.sim.violate("alone", "%s began %s, twice a suspect, beside %d others", proc.id, t.name, beside+len(proc.asked))
	}
}

// checkThaw: who was frozen, and whose claim is still its own, asks the store for a third of a
// lease before it stops the run.
func (proc *process) checkThaw(r *run, cause error) {
	sim := proc.sim
	if !errors.Is(cause, protocol.ErrLeaseLost) || proc.frozenUntil == 0 || sim.sc.transact || r.claim == nil {
		return
	}
	if proc.frozenUntil-proc.frozenAt < sim.sc.protocol.Lease/3 {
		return // too short for the Machine to notice: the lease is over for another reason
	}
	asked, least := sim.elapsed-proc.frozenUntil, sim.sc.protocol.Lease/3-time.Second
	if asked < least && sim.ledger.rows[r.event.key].last() == r.claim && r.claim.process == proc {
		sim.violate("thaw", "%s stopped %s, whose claim is its own, %v after it was frozen", proc.id, r.event.name, asked)
	}
}

// overran: a run that is beyond its limit counts as over.
func (proc *process) overran(r *run) bool {
	return proc.sim.elapsed-r.began >= proc.sim.sc.protocol.RunLimit
}

// checkSilent: who knows that an event is lost says neither that it failed nor that it goes on.
func (proc *process) checkSilent(a protocol.Answer) {
	if (a.Kind != protocol.Nak && a.Kind != protocol.ExtendAckWait) || a.Job == nil || a.Job.Event() != &a.Delivery.Event {
		return
	}
	sim := proc.sim
	if c := sim.ledger.owner[a.Job.Claim(proc.now()).Nonce]; c != nil && c.process == proc && c.told {
		sim.violate("silent", "%s answered %s, which it knew to have lost", proc.id, sim.journal.of(&a.Delivery.Event).name)
	}
}

// checkAck is about an ack as it reaches the bus: after a restore its sequence may be
// another event's.
func (proc *process) checkAck(d *bus.Delivery, t *testEvent, knew bool) {
	sim := proc.sim
	there := sim.journal.at[d.At.Sequence]
	if there == nil || there == t {
		return
	}
	if knew {
		sim.violate("I4", "%s acknowledged %s with an ack for %s, from before the bus was restored", proc.id, there.name, t.name)
	}
	there.misled = true
}

// checkEffect: a second effect needs an excuse.
func (sim *simulation) checkEffect(r *run) {
	sim.checkFirstEffect(r)
	if sim.sc.marks {
		return
	}
	for _, p := range r.event.effects {
		if p == r {
			continue
		}
		first, second := p, r
		if second.began < first.began {
			first, second = second, first
		}
		if c := first.claim; sim.sc.transact && (c == nil || !c.settled || c.ended+ttl > second.began) {
			sim.violate("I2", "%s had an effect by %s and by %s, in transactions", r.event.name, first.process.id, second.process.id)
		}
		if why := sim.unexcused(first, second); why != "" {
			sim.violate("I3", "%s had an effect by %s and by %s: %s", r.event.name, first.process.id, second.process.id, why)
		}
	}
}

// unexcused is why there was no reason to run an event again.
func (sim *simulation) unexcused(first, second *run) string {
	c := first.claim
	if c == nil {
		return "it ran without a claim"
	}
	marked := c.settled && c.outcome == dedupe.Succeeded
	switch {
	case marked && c.ended+ttl <= second.began:
		return "" // its mark had expired
	case second.claim != nil && second.claim.rowGone:
		return "" // the store forgot its lease while that ran, and let another in
	case marked && c.ended <= second.began:
		return "it was marked"
	case first.event.picked:
		return "" // its lease is over while its success is refused
	case first.done && !first.succeeded, first.process.over, first.plan.takes >= sim.sc.protocol.RunLimit:
		return ""
	case c.settled && c.outcome == dedupe.Failed && c.ended-first.began >= sim.sc.protocol.RunLimit:
		return "" // counted at its limit
	case c.lost && (first.process.hadTrouble(c.won, c.ended) || first.event.forgotten):
		return ""
	}
	return "nothing was wrong"
}
