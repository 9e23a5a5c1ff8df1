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
	life  *process
	job   *protocol.Job
	run   *run
	claim dedupe.Claim
	until time.Time // the end of its lease

	cancelled  bool
	committing bool
}

// transact is where a run in mode transactional starts.
func (l *process) transact(j *protocol.Job, r *run) {
	w := l.sim
	x := &transaction{life: l, job: j, run: r, claim: j.Claim(l.now())}
	x.until = l.now().Add(w.sc.transactionLease())
	r.transaction = x
	mine := false
	l.call(l.storeFate(), func() {
		if mine = w.ledger.holds(x.claim.Nonce); mine {
			w.applyExtensions(l, []dedupe.Claim{x.claim}, w.sc.transactionLease(), ttl)
		}
	}, func(err error) {
		switch {
		case r.done:
		case err != nil || x.cancelled:
			x.end(protocol.Verdict{Kind: protocol.NotBegun, Err: errUndone})
		case !mine:
			x.end(protocol.Verdict{Kind: protocol.Superseded, Err: errUndone})
		default:
			w.after(l, r.plan.takes, func() { l.finish(j, r, r.plan.verdict) })
		}
	})
}

// returned is where the handler is done. What was cancelled meanwhile, or took longer than the
// lease, is aborted whatever it says.
func (x *transaction) returned(v protocol.Verdict) {
	if x.committing {
		return
	}
	if v.Kind == protocol.Success && (x.cancelled || !x.life.now().Before(x.until)) {
		v = protocol.Verdict{Kind: protocol.Failure, Error: errUndone.Error(), Err: errUndone}
	}
	w := x.life.sim
	if v.Kind == protocol.Success && w.faults.on && w.chance(0.1) { // it met another transaction, too often
		v = protocol.Verdict{Kind: protocol.Conflicted, Error: errUndone.Error(), Err: errUndone}
	}
	if v.Kind != protocol.Success {
		x.end(v)
		return
	}
	x.committing, x.run.succeeded = true, true
	if w.mut.effectOutside {
		x.run.take(w)
	}
	if w.faults.on && w.sc.faults[cutOff] && w.chance(0.1) {
		x.life.cutOffStore(w.between(w.sc.protocol.Lease/2, 2*w.sc.protocol.Lease)) // when it hurts most
	}
	w.after(x.life, w.between(0, 5*time.Millisecond), x.commit) // a process may freeze right before it
}

// commit sends a commit, for the first time or again.
func (x *transaction) commit() {
	var refused error
	x.life.call(x.life.storeFate(), func() { refused = x.apply() }, func(err error) {
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
	w := x.life.sim
	err := w.applySettlements(x.life, []dedupe.Settlement{{Claim: x.claim, Outcome: dedupe.Succeeded, TTL: ttl}})[0]
	if err == nil {
		x.run.take(w)
	}
	return err
}

// resolve looks for the mark after a commit that was not answered, and sends the commit again while
// there is neither mark nor successor.
func (x *transaction) resolve() {
	l, w := x.life, x.life.sim
	committed, held := false, false
	l.call(l.storeFate(), func() {
		c := w.ledger.owner[x.claim.Nonce]
		committed, held = c.settled && c.outcome == dedupe.Succeeded, w.ledger.holds(x.claim.Nonce)
	}, func(err error) {
		switch {
		case err == nil && committed:
			x.end(protocol.Verdict{})
		case err == nil && !held:
			x.end(protocol.Verdict{Kind: protocol.Superseded, Err: errUndone})
		case !l.now().Before(x.until):
			x.end(x.unknown())
		default:
			w.after(l, w.between(10*time.Millisecond, 2*time.Second), x.commit)
		}
	})
}

func (x *transaction) unknown() protocol.Verdict {
	if x.life.sim.mut.ackUnknown {
		return protocol.Verdict{}
	}
	return protocol.Verdict{Kind: protocol.Unknown, Err: errLost}
}

// end is where the process learns how it went.
func (x *transaction) end(v protocol.Verdict) {
	l, r := x.life, x.run
	r.done, r.ended = true, l.sim.elapsed
	l.sim.note("end", l.id, r.event.name, int64(v.Kind))
	switch v.Kind {
	case protocol.Success:
		l.knows[x.job.Key()] = r
	case protocol.Superseded:
		l.told(x.claim.Nonce)
	default: // tells nothing of the claim
	}
	delete(l.runs, x.job)
	l.m.Ran(l.now(), x.job, v)
	l.planTurn()
}

// checkLocked: a claim is not renewed while its transaction runs.
func (l *process) checkLocked(cs []dedupe.Claim) {
	if !l.sim.sc.transact {
		return
	}
	for _, c := range cs {
		own := l.sim.ledger.owner[c.Nonce]
		if own == nil {
			continue
		}
		own.asked = true
		if own.run != nil && !own.run.done {
			l.sim.violate("locked", "%s renews %s, which its own transaction locks", l.id, own.run)
		}
	}
}

// unhand forgets a claim that ended without a settlement.
func (l *process) unhand(a protocol.Answer) {
	if l.sim.sc.transact && a.Job != nil && a.Kind != protocol.Progress {
		delete(l.holds, a.Job.Claim(l.now()).Nonce)
	}
}
