package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// sendClaims sends one batch of claims.
func (proc *process) sendClaims() bool {
	if proc.claiming >= proc.sim.sc.calls {
		return false
	}
	f := proc.storeFate()
	b := proc.machine.Claims(proc.sentAt(f))
	if b.Empty() {
		return false
	}
	proc.claiming++
	for _, q := range b.Items {
		proc.checkRequest(q)
		proc.asked[q.Nonce] = true
		proc.sim.note("ask", proc.id, q.Key.ID, 0)
	}
	var cs []dedupe.Claim
	proc.call(f, func() { cs = proc.sim.applyClaims(proc, b.Items) }, func(err error) {
		proc.claiming--
		proc.takeClaims(b, cs, err)
	})
	return true
}

func (sim *simulation) applyClaims(proc *process, rs []dedupe.Request) []dedupe.Claim {
	cs := make([]dedupe.Claim, 0, len(rs))
	for _, r := range rs {
		if sim.journal.byHash(r.Hash).script == refused {
			cs = append(cs, dedupe.Claim{Key: r.Key, Nonce: r.Nonce, Err: fmt.Errorf("too odd: %w", dedupe.ErrKeyRefused)})
			continue
		}
		won, err := sim.claims.Claim(context.Background(), []dedupe.Request{r})
		sim.must(err)
		cs = append(cs, won...)
		sim.ledger.recordClaim(proc, r, won[0])
	}
	return cs
}

// takeClaims brings the answer in, and notes what the process holds from now on.
func (proc *process) takeClaims(b protocol.Batch[dedupe.Request], cs []dedupe.Claim, err error) {
	if err == nil {
		for i, q := range b.Items {
			delete(proc.asked, q.Nonce)
			if s := cs[i].State; cs[i].Err == nil && (s == dedupe.Fresh || s == dedupe.DeadLettering) {
				proc.heldClaims[q.Nonce] = cs[i].Crashes
				if s == dedupe.DeadLettering {
					proc.heldClaims[q.Nonce] = 0
				}
			}
		}
	}
	proc.machine.Claimed(proc.now(), b, cs, err)
}

// sendSettlements sends one batch of settlements.
func (proc *process) sendSettlements() bool {
	if proc.settling >= proc.sim.sc.calls {
		return false
	}
	b := proc.machine.Settlements(proc.now())
	if b.Empty() {
		return false
	}
	proc.settling++
	for _, s := range b.Items {
		if c := proc.sim.ledger.owner[s.Claim.Nonce]; c != nil {
			c.ending = true
		}
	}
	if mut := proc.sim.mut.settling; mut != nil {
		mut(proc, b.Items)
	}
	var errs []error
	proc.call(proc.storeFate(), func() { errs = proc.sim.applySettlements(proc, b.Items) }, func(err error) {
		proc.settling--
		proc.takeSettled(b, errs, err)
	})
	return true
}

func (sim *simulation) applySettlements(proc *process, ss []dedupe.Settlement) []error {
	errs, err := sim.claims.Settle(context.Background(), ss)
	sim.must(err)
	for i := range errs {
		sim.ledger.recordSettled(proc, ss[i], errs[i])
		proc.noteNoRoom(ss[i].Claim.Key, errs[i])
	}
	return errs
}

func (proc *process) takeSettled(b protocol.Batch[dedupe.Settlement], errs []error, err error) {
	if mut := proc.sim.mut.settled; mut != nil {
		errs, err = mut(proc, b.Items, errs, err)
	}
	if err == nil {
		for i, s := range b.Items {
			lost := errors.Is(errs[i], dedupe.ErrSuperseded)
			if errs[i] != nil && !lost {
				continue // it is repeated
			}
			if lost {
				proc.noteSuperseded(s.Claim.Nonce)
			}
			if lost || s.Outcome != dedupe.GivenUp {
				delete(proc.heldClaims, s.Claim.Nonce)
			} else if own := proc.sim.ledger.owner[s.Claim.Nonce]; own != nil {
				own.ending = false // a claim is renewed, and lost, also while its letter is stored
			}
		}
	}
	proc.machine.Settled(proc.now(), b, errs, err)
}

// sendRenewals sends one batch of renewals.
func (proc *process) sendRenewals() bool {
	if proc.extending >= proc.sim.sc.calls {
		return false
	}
	f := proc.storeFate()
	b := proc.machine.Renewals(proc.sentAt(f))
	if b.Empty() {
		return false
	}
	proc.extending++
	proc.checkLocked(b.Items)
	cfg := &proc.sim.sc.protocol
	var errs []error
	proc.call(f, func() { errs = proc.sim.applyRenewals(proc, b.Items, cfg.Lease, cfg.TTL) }, func(err error) {
		proc.extending--
		for i, c := range b.Items {
			// Once a settlement was sent, a renewal may be refused because that was stored.
			own := proc.sim.ledger.owner[c.Nonce]
			if own == nil {
				continue
			}
			own.asked = false
			if err == nil && errors.Is(errs[i], dedupe.ErrSuperseded) && !own.ending {
				proc.noteSuperseded(c.Nonce)
			}
		}
		proc.machine.Renewed(proc.now(), b, errs, err)
	})
	return true
}

func (sim *simulation) applyRenewals(proc *process, cs []dedupe.Claim, lease, ttl time.Duration) []error {
	errs, err := sim.claims.Extend(context.Background(), cs, lease, ttl)
	sim.must(err)
	for i := range errs {
		sim.ledger.recordRenewed(proc, cs[i], lease, ttl, errs[i])
	}
	return errs
}

// noteSuperseded notes that a process heard of having lost a claim. What it does not have any more
// it was not told about.
func (proc *process) noteSuperseded(nonce string) {
	if c := proc.sim.ledger.owner[nonce]; c != nil && c.lost {
		c.told = true
		delete(proc.heldClaims, nonce)
	}
}

// sentAt is what the Machine takes for the time at which a call is sent.
func (proc *process) sentAt(f callFate) time.Time {
	if proc.sim.mut.leaseFromAnswer {
		return proc.now().Add(f.answer)
	}
	return proc.now()
}
