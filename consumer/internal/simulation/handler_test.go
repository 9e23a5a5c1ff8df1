package simulation

import (
	"errors"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

var errDrain = errors.New("drain time-out")

// startJob takes a job that has a slot, and has it wait for gate and limit.
func (proc *process) startJob() bool {
	j := proc.machine.Next(proc.now())
	if j == nil {
		return false
	}
	sim := proc.sim
	busy := len(proc.gates)
	for _, r := range proc.runs {
		if r.began > proc.shutAt || proc.shutAt == 0 { // what began before it was shut does not count
			busy++
		}
	}
	if proc.capacity >= 0 && busy >= proc.capacity {
		sim.violate("I8", "%s takes %s while its gate has room for %d, and %d are inside", proc.id, j.Key().ID, proc.capacity, busy)
	}
	g := &gate{}
	proc.gates[j] = g
	wait := sim.between(0, 20*time.Millisecond)
	if sim.chance(0.1) {
		wait = sim.between(0, sim.sc.protocol.Lease)
	}
	sim.after(proc, wait, func() { proc.passGate(j, g, !sim.chance(0.03), wait) })
	return true
}

// passGate is where gate and limit let a job through, or have it try again after a while.
func (proc *process) passGate(j *protocol.Job, g *gate, open bool, after time.Duration) {
	if g.passed {
		return
	}
	g.passed = true
	delete(proc.gates, j)
	switch {
	case !open:
		proc.sim.note("abandon", proc.id, j.Key().ID, 0)
		proc.machine.Abandon(proc.now(), j, after)
	case proc.machine.Begin(proc.now(), j):
		proc.beginRun(j)
	}
	proc.planTurn()
}

// beginRun is where a handler starts.
func (proc *process) beginRun(j *protocol.Job) {
	sim := proc.sim
	t := sim.journal.of(j.Event())
	r := &run{event: t, process: proc, claim: sim.ledger.owner[j.Claim(proc.now()).Nonce], plan: t.next(sim, len(t.runs)), began: sim.elapsed}
	sim.note("begin "+string(t.script), proc.id, t.name, int64(j.Attempt()))
	_, _, r.probe = proc.machine.Unavailable()
	proc.checkStart(j, r)
	t.runs = append(t.runs, r)
	proc.runs[j] = r
	if r.claim != nil {
		r.claim.run = r
	}
	proc.order.noteStarted(j.Event())
	if sim.mut.begun != nil {
		sim.mut.begun(proc, j, r)
	}
	if sim.sc.transact {
		proc.runTransaction(j, r)
		return
	}
	if r.plan.effect >= 0 {
		owner := proc
		if r.plan.detached {
			owner = nil
		}
		sim.after(owner, r.plan.effect, func() { r.effect(sim) })
	}
	sim.after(proc, r.plan.takes, func() { proc.finishRun(j, r, r.plan.verdict) })
}

// effect is what the handler is for.
func (r *run) effect(sim *simulation) {
	if !r.done || r.plan.detached {
		r.take(sim)
	}
}

// take is where the effect takes place.
func (r *run) take(sim *simulation) {
	if r.effected {
		return
	}
	r.effected = true
	sim.note("effect", r.process.id, r.event.name, int64(len(r.event.effects)))
	r.event.effects = append(r.event.effects, r)
	sim.checkEffect(r)
}

// finishRun is where a handler returns, or its process ends by it.
func (proc *process) finishRun(j *protocol.Job, r *run, v protocol.Verdict) {
	if r.done {
		return
	}
	if r.plan.kills {
		proc.crash()
		return
	}
	if proc.sim.mut.verdict != nil {
		v = proc.sim.mut.verdict(v)
	}
	if r.transaction != nil {
		r.transaction.returned(v)
		return
	}
	sim := proc.sim
	if v.Kind == protocol.Success && !r.effected {
		r.effect(sim)
	}
	r.done, r.ended, r.succeeded = true, sim.elapsed, v.Kind == protocol.Success
	sim.note("end", proc.id, r.event.name, int64(v.Kind))
	if r.succeeded {
		proc.successes[j.Key()] = r
	}
	delete(proc.runs, j)
	proc.machine.Ran(proc.now(), j, v)
	proc.planTurn()
}

// cancelRuns ends contexts that the Machine wants ended.
func (proc *process) cancelRuns() bool {
	cs := proc.machine.Cancels()
	for _, c := range cs {
		proc.sim.note("cancel", proc.id, c.Job.Key().ID, 0)
		if g := proc.gates[c.Job]; g != nil {
			proc.sim.after(proc, time.Millisecond, func() { proc.passGate(c.Job, g, false, 0) })
		} else if r := proc.runs[c.Job]; r != nil {
			r.cancelled = true
			proc.checkThaw(r, c.Cause)
			proc.interruptRun(c.Job, r, c.Cause)
		}
	}
	return len(cs) > 0
}

// interruptRun makes a handler return soon, if it listens.
func (proc *process) interruptRun(j *protocol.Job, r *run, cause error) {
	if r.transaction != nil {
		r.transaction.cancelled = true
	}
	if r.plan.deaf || r.plan.kills {
		return
	}
	v := protocol.Verdict{Kind: protocol.Failure, Error: cause.Error(), Err: cause}
	if r.effected && proc.sim.chance(0.5) {
		v = protocol.Verdict{}
	}
	proc.sim.after(proc, proc.sim.between(0, 100*time.Millisecond), func() { proc.finishRun(j, r, v) })
}
