package simulation

import (
	"errors"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

var errDrain = errors.New("drain time-out")

// startJob takes a job that has a slot, and has it wait for limit and gate.
func (l *process) startJob() bool {
	j := l.m.Next(l.now())
	if j == nil {
		return false
	}
	w := l.sim
	g := &gate{}
	l.gates[j] = g
	wait := w.between(0, 20*time.Millisecond)
	if w.chance(0.1) {
		wait = w.between(0, w.sc.protocol.Lease)
	}
	w.after(l, wait, func() { l.passGate(j, g, !w.chance(0.03)) })
	return true
}

// passGate is where limit and gate let a job through, or not.
func (l *process) passGate(j *protocol.Job, g *gate, open bool) {
	if g.passed {
		return
	}
	g.passed = true
	delete(l.gates, j)
	switch {
	case !open:
		l.sim.note("abandon", l.id, j.Key().ID, 0)
		l.m.Abandon(l.now(), j)
	case l.m.Begin(l.now(), j):
		l.begin(j)
	}
	l.planTurn()
}

// begin is where a handler starts.
func (l *process) begin(j *protocol.Job) {
	w := l.sim
	t := w.journal.of(j.Event())
	r := &run{event: t, process: l, claim: w.ledger.owner[j.Claim(l.now()).Nonce], plan: t.next(w, len(t.runs)), began: w.elapsed}
	w.note("begin "+string(t.script), l.id, t.name, int64(j.Attempt()))
	_, _, r.probe = l.m.Unavailable()
	l.checkStart(j, r)
	t.runs = append(t.runs, r)
	l.runs[j] = r
	if r.claim != nil {
		r.claim.run = r
	}
	l.order.started(j.Event())
	if w.mut.begun != nil {
		w.mut.begun(l, j, r)
	}
	if w.sc.transact {
		l.transact(j, r)
		return
	}
	if r.plan.effect >= 0 {
		owner := l
		if r.plan.detached {
			owner = nil
		}
		w.after(owner, r.plan.effect, func() { r.effect(w) })
	}
	w.after(l, r.plan.takes, func() { l.finish(j, r, r.plan.verdict) })
}

// effect is what the handler is for.
func (r *run) effect(w *simulation) {
	if !r.done || r.plan.detached {
		r.take(w)
	}
}

// take is where the effect takes place.
func (r *run) take(w *simulation) {
	if r.effected {
		return
	}
	r.effected = true
	w.note("effect", r.process.id, r.event.name, int64(len(r.event.effects)))
	r.event.effects = append(r.event.effects, r)
	w.checkEffect(r)
}

// finish is where a handler returns, or its process ends by it.
func (l *process) finish(j *protocol.Job, r *run, v protocol.Verdict) {
	if r.done {
		return
	}
	if r.plan.kills {
		l.crash()
		return
	}
	if l.sim.mut.verdict != nil {
		v = l.sim.mut.verdict(v)
	}
	if r.transaction != nil {
		r.transaction.returned(v)
		return
	}
	w := l.sim
	if v.Kind == protocol.Success && !r.effected {
		r.effect(w)
	}
	r.done, r.ended, r.succeeded = true, w.elapsed, v.Kind == protocol.Success
	w.note("end", l.id, r.event.name, int64(v.Kind))
	if r.succeeded {
		l.knows[j.Key()] = r
	}
	delete(l.runs, j)
	l.m.Ran(l.now(), j, v)
	l.planTurn()
}

// cancel ends contexts that the Machine wants ended.
func (l *process) cancel() bool {
	cs := l.m.Cancels()
	for _, c := range cs {
		l.sim.note("cancel", l.id, c.Job.Key().ID, 0)
		if g := l.gates[c.Job]; g != nil {
			l.sim.after(l, time.Millisecond, func() { l.passGate(c.Job, g, false) })
		} else if r := l.runs[c.Job]; r != nil {
			l.checkThaw(r, c.Cause)
			l.interrupt(c.Job, r, c.Cause)
		}
	}
	return len(cs) > 0
}

// interrupt makes a handler return soon, if it listens.
func (l *process) interrupt(j *protocol.Job, r *run, cause error) {
	if r.transaction != nil {
		r.transaction.cancelled = true
	}
	if r.plan.deaf || r.plan.kills {
		return
	}
	v := protocol.Verdict{Kind: protocol.Failure, Error: cause.Error(), Err: cause}
	if r.effected && l.sim.chance(0.5) {
		v = protocol.Verdict{}
	}
	l.sim.after(l, l.sim.between(0, 100*time.Millisecond), func() { l.finish(j, r, v) })
}
