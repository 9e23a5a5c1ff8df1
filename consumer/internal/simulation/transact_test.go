package simulation

import (
	"errors"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

var errUndone = errors.New("aborted")

// transaction is a run in mode transactional, as a store makes it: a first statement that finds the
// claim, the handler, and a commit that makes mark and effect at once, or neither. Where a server
// would make who takes over wait for a lock, the commit fails here.
type transaction struct {
	process *process
	job     *protocol.Job
	run     *run
	claim   dedupe.Claim
	until   time.Time // the end of its lease

	cancelled  bool
	committing bool
}

// runTransaction is where a run in mode transactional starts.
func (proc *process) runTransaction(j *protocol.Job, r *run) {
	sim := proc.sim
	x := &transaction{process: proc, job: j, run: r, claim: j.Claim(proc.now())}
	x.until = proc.now().Add(sim.sc.transactionLease())
	r.transaction = x
	mine := false
	proc.call(proc.storeFate(), func() {
		if mine = sim.ledger.holds(x.claim.Nonce); mine {
			sim.applyRenewals(proc, []dedupe.Claim{x.claim}, sim.sc.transactionLease(), ttl)
		}
	}, func(err error) {
		switch {
		case r.done:
		case err != nil || x.cancelled:
			x.end(protocol.Verdict{Kind: protocol.NotBegun, Err: errUndone})
		case !mine:
			x.end(protocol.Verdict{Kind: protocol.Superseded, Err: errUndone})
		default:
			sim.after(proc, r.plan.takes, func() { proc.finishRun(j, r, r.plan.verdict) })
		}
	})
}

// returned is where the handler is done. What was cancelled meanwhile, or took longer than the
// lease, is aborted whatever it says.
func (x *transaction) returned(v protocol.Verdict) {
	if x.committing {
		return
	}
	if v.Kind == protocol.Success && (x.cancelled || !x.process.now().Before(x.until)) {
		v = protocol.Verdict{Kind: protocol.Failure, Error: errUndone.Error(), Err: errUndone}
	}
	sim := x.process.sim
	if v.Kind == protocol.Success && sim.faults.on && sim.chance(0.1) { // it met another transaction, too often
		v = protocol.Verdict{Kind: protocol.Conflicted, Error: errUndone.Error(), Err: errUndone}
	}
	if v.Kind != protocol.Success {
		x.end(v)
		return
	}
	x.committing, x.run.succeeded = true, true
	if sim.mut.effectOutside {
		x.run.take(sim)
	}
	if sim.faults.on && sim.sc.faults[cutOff] && sim.chance(0.1) {
		x.process.cutOffStore(sim.between(sim.sc.protocol.Lease/2, 2*sim.sc.protocol.Lease)) // when it hurts most
	}
	sim.after(x.process, sim.between(0, 5*time.Millisecond), x.commit) // a process may freeze right before it
}

// commit sends a commit, for the first time or again.
func (x *transaction) commit() {
	var refused error
	x.process.call(x.process.storeFate(), func() { refused = x.apply() }, func(err error) {
		switch {
		case err != nil:
			x.resolve()
		case refused == nil:
			x.end(protocol.Verdict{})
		case errors.Is(refused, dedupe.ErrSuperseded):
			x.end(protocol.Verdict{Kind: protocol.Superseded, Err: errUndone})
		default:
			x.end(protocol.Verdict{Kind: protocol.Conflicted, Error: refused.Error(), Err: refused})
		}
	})
}

// apply is the moment of the commit.
func (x *transaction) apply() error {
	sim := x.process.sim
	err := sim.applySettlements(x.process, []dedupe.Settlement{{Claim: x.claim, Outcome: dedupe.Succeeded, TTL: ttl}})[0]
	if err == nil {
		x.run.take(sim)
	}
	return err
}

// resolve looks for the mark after a commit that was not answered, and sends the commit again while
// there is neither mark nor successor.
func (x *transaction) resolve() {
	proc, sim := x.process, x.process.sim
	committed, held := false, false
	proc.call(proc.storeFate(), func() {
		c := sim.ledger.owner[x.claim.Nonce]
		committed, held = c.settled && c.outcome == dedupe.Succeeded, sim.ledger.holds(x.claim.Nonce)
	}, func(err error) {
		switch {
		case err == nil && committed:
			x.end(protocol.Verdict{})
		case err == nil && !held:
			x.end(protocol.Verdict{Kind: protocol.Superseded, Err: errUndone})
		case !proc.now().Before(x.until):
			x.end(x.unknown())
		default:
			sim.after(proc, sim.between(10*time.Millisecond, 2*time.Second), x.commit)
		}
	})
}

func (x *transaction) unknown() protocol.Verdict {
	if x.process.sim.mut.ackUnknown {
		return protocol.Verdict{}
	}
	return protocol.Verdict{Kind: protocol.Unknown, Err: errLost}
}

// end is where the process learns how it went.
func (x *transaction) end(v protocol.Verdict) {
	proc, r := x.process, x.run
	r.done, r.ended = true, proc.sim.elapsed
	proc.sim.note("end", proc.id, r.event.name, int64(v.Kind))
	switch v.Kind {
	case protocol.Success:
		proc.successes[x.job.Key()] = r
	case protocol.Superseded:
		proc.noteSuperseded(x.claim.Nonce)
	default: // tells nothing of the claim
	}
	delete(proc.runs, x.job)
	proc.machine.Ran(proc.now(), x.job, v)
	proc.planTurn()
}

// checkLocked: a claim is not renewed while its transaction runs.
func (proc *process) checkLocked(cs []dedupe.Claim) {
	if !proc.sim.sc.transact {
		return
	}
	for _, c := range cs {
		own := proc.sim.ledger.owner[c.Nonce]
		if own == nil {
			continue
		}
		own.asked = true
		if own.run != nil && !own.run.done {
			proc.sim.violate("locked", "%s renews %s, which its own transaction locks", proc.id, own.run)
		}
	}
}

// handOver forgets a claim that ended without a settlement.
func (proc *process) handOver(a protocol.Answer) {
	if proc.sim.sc.transact && a.Job != nil && a.Kind != protocol.ExtendAckWait {
		delete(proc.heldClaims, a.Job.Claim(proc.now()).Nonce)
	}
}
