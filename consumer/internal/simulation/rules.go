package simulation

import (
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// checkStart holds a start against every rule about starts.
func (l *process) checkStart(j *protocol.Job, r *run) {
	w, t := l.sim, r.event
	if l.paused {
		w.violate("I8", "%s began %s while paused", l.id, t.name)
	}
	if l.draining {
		w.violate("I9", "%s began %s while draining", l.id, t.name)
	}
	if t.script == malformed || t.script == refused {
		w.violate("I11", "%s began %s, which is %s", l.id, t.name, t.script)
	}
	if first, seq := l.order.check(l, j.Event()); first != nil {
		w.violate("order", "%s began %s of key %s before sequence %d (%s)", l.id, t.name, j.Event().Key, seq, w.journal.of(first).name)
	}
	for o, other := range l.runs {
		if o.Key() == j.Key() && !other.done {
			w.violate("twice", "%s began %s while another run of it has not returned", l.id, t.name)
		}
	}
	l.checkRoom(r)
	l.checkPayload(t)
	l.checkKnown(j, t)
	l.checkExposed(t)
	l.checkProbe(r)
	if !w.sc.marks {
		l.checkClaim(j, r)
		l.checkAlone(j, t)
	}
}

// checkClaim: a run needs a claim with a third of its lease left, of a key that is due.
func (l *process) checkClaim(j *protocol.Job, r *run) {
	w, t := l.sim, r.event
	if r.claim == nil {
		w.violate("I6", "%s began %s without a claim", l.id, t.name)
		return
	}
	row, now := w.ledger.rows[j.Key()], w.ledger.now()
	slack := time.Millisecond + w.sc.protocol.Lease/1_000_000*time.Duration(w.sc.drift)
	if left := r.claim.until.Sub(now); left < w.sc.protocol.Lease/3-slack {
		w.violate("third", "%s began %s with %v left of a lease of %v", l.id, t.name, left, w.sc.protocol.Lease)
	}
	if w.sc.transact && r.claim.asked {
		w.violate("locked", "%s began %s while it renews it", l.id, t.name)
	}
	if now.Before(row.due) {
		w.violate("due", "%s began %s, which is due in %v", l.id, t.name, row.due.Sub(now))
	}
	if row.last() == r.claim && j.Attempt() != row.attempts+1 {
		w.violate("I11", "%s began attempt %d of %s, which has %d", l.id, j.Attempt(), t.name, row.attempts)
	}
}

// noteRoom notes, in mode seen/mark, since when a mark is refused for want of room.
func (l *process) noteRoom(k dedupe.Key, err error) {
	if !l.sim.sc.marks {
		return
	}
	if !errors.Is(err, dedupe.ErrFull) {
		delete(l.noRoom, k)
	} else if _, ok := l.noRoom[k]; !ok {
		l.noRoom[k] = l.sim.elapsed
	}
}

// checkRoom: in mode seen/mark nothing is claimed, and then run, while a mark is refused because
// the store is full.
func (l *process) checkRoom(r *run) {
	for k, since := range l.noRoom {
		if r.claim != nil && r.claim.won > since {
			l.sim.violate("room", "%s began %s, which was claimed while the mark of %s was refused", l.id, r.event.name, k.ID)
			return
		}
	}
}

// checkExposed: so many events have started and are not settled, as far as the store knows: what a
// crash repeats.
func (l *process) checkExposed(t *testEvent) {
	exposed, most := 1, max(l.sim.sc.protocol.MaxUnmarked, l.sim.sc.protocol.Concurrency)
	for nonce := range l.holds {
		if c := l.sim.ledger.owner[nonce]; c != nil && c.life == l && c.run != nil && !c.settled {
			exposed++
		}
	}
	if exposed > most {
		l.sim.violate("exposed", "%s began %s, and %d events have started and are not settled, of at most %d", l.id, t.name, exposed, most)
	}
}

// checkProbe: while the receiver is taken to be unavailable, one event runs at a time, but for
// those that began before.
func (l *process) checkProbe(r *run) {
	for _, other := range l.runs {
		if r.probe && other.probe && !other.done && !l.overran(other) {
			l.sim.violate("probe", "%s began %s as a probe beside %s", l.id, r.event.name, other.event.name)
		}
	}
}

// checkPayload: of two payloads under one id only the first is handled.
func (l *process) checkPayload(t *testEvent) {
	if !t.reused || l.sim.expired || l.sim.sc.marks {
		return
	}
	for _, o := range l.sim.journal.events {
		if o != t && o.key == t.key && !o.forgotten && (o.marked || len(o.runs) > 0) {
			l.sim.violate("payload", "%s began %s, whose id is that of %s", l.id, t.name, o.name)
		}
	}
}

// checkKnown: a process that had a success runs the event again only if another took it.
func (l *process) checkKnown(j *protocol.Job, t *testEvent) {
	known := l.knows[j.Key()]
	if known == nil || known.ended-known.began >= l.sim.sc.protocol.RunLimit {
		return // none, or one that came after it was counted as an attempt
	}
	cs := l.sim.ledger.rows[j.Key()].claims
	for i, c := range cs[:len(cs)-1] {
		if c == known.claim && cs[i+1].life != l {
			return
		}
	}
	l.sim.violate("known", "%s began %s again after it succeeded there", l.id, t.name)
}

// checkAlone: a suspect runs beside suspects, one of two crashes beside nothing.
func (l *process) checkAlone(j *protocol.Job, t *testEvent) {
	crashes, beside, innocent := j.Crashes(), len(l.holds)-1, 0
	for _, c := range l.holds {
		if c == 0 {
			innocent++
		}
	}
	suspect := false
	for o, r := range l.runs {
		suspect = suspect || (o.Crashes() > 0 && !r.done && !l.overran(r))
	}
	switch {
	case crashes == 0 && suspect:
		l.sim.violate("alone", "%s began %s beside a suspect", l.id, t.name)
	case crashes == 1 && innocent+len(l.asked) > 0:
		l.sim.violate("alone", "%s began %s, a suspect, beside %d others", l.id, t.name, innocent+len(l.asked))
	case crashes > 1 && beside+len(l.asked) > 0:
		l.sim.violate("alone", "%s began %s, twice a suspect, beside %d others", l.id, t.name, beside+len(l.asked))
	}
}

// checkThaw: who was frozen, and whose claim is still its own, asks the store for a third of a
// lease before it stops the run.
func (l *process) checkThaw(r *run, cause error) {
	w := l.sim
	if !errors.Is(cause, protocol.ErrLeaseLost) || l.thaw == 0 || w.sc.transact || r.claim == nil {
		return
	}
	asked, least := w.elapsed-l.thaw, w.sc.protocol.Lease/3-time.Second
	if asked < least && w.ledger.rows[r.event.key].last() == r.claim && r.claim.life == l {
		w.violate("thaw", "%s stopped %s, whose claim is its own, %v after it was frozen", l.id, r.event.name, asked)
	}
}

// overran: a run that is beyond its limit counts as over.
func (l *process) overran(r *run) bool { return l.sim.elapsed-r.began >= l.sim.sc.protocol.RunLimit }

// checkSilent: who knows that an event is lost says neither that it failed nor that it goes on.
func (l *process) checkSilent(a protocol.Answer) {
	if (a.Kind != protocol.Nak && a.Kind != protocol.Progress) || a.Job == nil || a.Job.Event() != &a.Delivery.Event {
		return
	}
	w := l.sim
	if c := w.ledger.owner[a.Job.Claim(l.now()).Nonce]; c != nil && c.life == l && c.told {
		w.violate("silent", "%s answered %s, which it knew to have lost", l.id, w.journal.of(&a.Delivery.Event).name)
	}
}

// checkAck is about an ack as it reaches the bus: after a restore its sequence may be
// another event's.
func (l *process) checkAck(d *bus.Delivery, t *testEvent, knew bool) {
	w := l.sim
	there := w.journal.at[d.At.Sequence]
	if there == nil || there == t {
		return
	}
	if knew {
		w.violate("I4", "%s acknowledged %s with an ack for %s, from before the bus was restored", l.id, there.name, t.name)
	}
	there.misled = true
}

// checkEffect: a second effect needs an excuse.
func (w *simulation) checkEffect(r *run) {
	if w.sc.marks {
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
		if c := first.claim; w.sc.transact && (c == nil || !c.settled || c.ended+ttl > second.began) {
			w.violate("I2", "%s had an effect by %s and by %s, in transactions", r.event.name, first.process.id, second.process.id)
		}
		if why := w.unexcused(first, second); why != "" {
			w.violate("I3", "%s had an effect by %s and by %s: %s", r.event.name, first.process.id, second.process.id, why)
		}
	}
}

// unexcused says why there was no reason to run a thing again.
func (w *simulation) unexcused(first, second *run) string {
	c := first.claim
	if c == nil {
		return "it ran without a claim"
	}
	marked := c.settled && c.outcome == dedupe.Succeeded
	switch {
	case marked && c.ended+ttl <= second.began:
		return "" // its mark had expired
	case marked && c.ended <= second.began:
		return "it was marked"
	case first.event.picked:
		return "" // its lease is over while its success is refused
	case first.done && !first.succeeded, first.process.over, first.plan.takes >= w.sc.protocol.RunLimit:
		return ""
	case c.settled && c.outcome == dedupe.Failed && c.ended-first.began >= w.sc.protocol.RunLimit:
		return "" // counted at its limit
	case second.claim != nil && second.claim.lost && second.event.forgotten:
		return ""
	case c.lost && (first.process.troubled(c.won, c.ended) || first.event.forgotten):
		return ""
	}
	return "nothing was wrong"
}
