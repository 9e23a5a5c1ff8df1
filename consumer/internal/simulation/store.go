package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// claim sends one batch of claims.
func (l *process) claim() bool {
	if l.claiming >= l.sim.sc.calls {
		return false
	}
	f := l.storeFate()
	b := l.m.Claims(l.sentAt(f))
	if b.Empty() {
		return false
	}
	l.claiming++
	for _, q := range b.Items {
		l.asked[q.Nonce] = true
		l.sim.note("ask", l.id, q.Key.ID, 0)
	}
	var cs []dedupe.Claim
	l.call(f, func() { cs = l.sim.applyClaims(l, b.Items) }, func(err error) {
		l.claiming--
		l.claimed(b, cs, err)
	})
	return true
}

func (w *simulation) applyClaims(l *process, rs []dedupe.Request) []dedupe.Claim {
	cs := make([]dedupe.Claim, 0, len(rs))
	for _, r := range rs {
		if w.journal.byHash(r.Hash).script == refused {
			cs = append(cs, dedupe.Claim{Key: r.Key, Nonce: r.Nonce, Err: fmt.Errorf("too odd: %w", dedupe.ErrKeyRefused)})
			continue
		}
		won, err := w.claims.Claim(context.Background(), []dedupe.Request{r})
		w.must(err)
		cs = append(cs, won...)
		w.ledger.claimed(l, r, won[0])
	}
	return cs
}

// claimed brings the answer in, and notes what the process holds from now on.
func (l *process) claimed(b protocol.Batch[dedupe.Request], cs []dedupe.Claim, err error) {
	if err == nil {
		for i, q := range b.Items {
			delete(l.asked, q.Nonce)
			if s := cs[i].State; cs[i].Err == nil && (s == dedupe.Fresh || s == dedupe.DeadLettering) {
				l.holds[q.Nonce] = cs[i].Crashes
				if s == dedupe.DeadLettering {
					l.holds[q.Nonce] = 0
				}
			}
		}
	}
	l.m.Claimed(l.now(), b, cs, err)
}

// settle sends one batch of settlements.
func (l *process) settle() bool {
	if l.settling >= l.sim.sc.calls {
		return false
	}
	b := l.m.Settlements(l.now())
	if b.Empty() {
		return false
	}
	l.settling++
	for _, s := range b.Items {
		if c := l.sim.ledger.owner[s.Claim.Nonce]; c != nil {
			c.ending = true
		}
	}
	if mut := l.sim.mut.settling; mut != nil {
		mut(l, b.Items)
	}
	var errs []error
	l.call(l.storeFate(), func() { errs = l.sim.applySettlements(l, b.Items) }, func(err error) {
		l.settling--
		l.settled(b, errs, err)
	})
	return true
}

func (w *simulation) applySettlements(l *process, ss []dedupe.Settlement) []error {
	errs, err := w.claims.Settle(context.Background(), ss)
	w.must(err)
	for i := range errs {
		w.ledger.settled(l, ss[i], errs[i])
		l.noteRoom(ss[i].Claim.Key, errs[i])
	}
	return errs
}

func (l *process) settled(b protocol.Batch[dedupe.Settlement], errs []error, err error) {
	if mut := l.sim.mut.settled; mut != nil {
		errs, err = mut(l, b.Items, errs, err)
	}
	if err == nil {
		for i, s := range b.Items {
			lost := errors.Is(errs[i], dedupe.ErrSuperseded)
			if errs[i] != nil && !lost {
				continue // it is repeated
			}
			if lost {
				l.told(s.Claim.Nonce)
			}
			if lost || s.Outcome != dedupe.GivenUp {
				delete(l.holds, s.Claim.Nonce)
			} else if own := l.sim.ledger.owner[s.Claim.Nonce]; own != nil {
				own.ending = false // a burial is renewed, and lost, as a claim is
			}
		}
	}
	l.m.Settled(l.now(), b, errs, err)
}

// extend sends one batch of renewals.
func (l *process) extend() bool {
	if l.extending >= l.sim.sc.calls {
		return false
	}
	f := l.storeFate()
	b := l.m.Extensions(l.sentAt(f))
	if b.Empty() {
		return false
	}
	l.extending++
	l.checkLocked(b.Items)
	cfg := &l.sim.sc.protocol
	var errs []error
	l.call(f, func() { errs = l.sim.applyExtensions(l, b.Items, cfg.Lease, cfg.TTL) }, func(err error) {
		l.extending--
		for i, c := range b.Items {
			// Once a settlement was sent, a renewal may be refused because that was stored.
			own := l.sim.ledger.owner[c.Nonce]
			if own == nil {
				continue
			}
			own.asked = false
			if err == nil && errors.Is(errs[i], dedupe.ErrSuperseded) && !own.ending {
				l.told(c.Nonce)
			}
		}
		l.m.Extended(l.now(), b, errs, err)
	})
	return true
}

func (w *simulation) applyExtensions(l *process, cs []dedupe.Claim, lease, ttl time.Duration) []error {
	errs, err := w.claims.Extend(context.Background(), cs, lease, ttl)
	w.must(err)
	for i := range errs {
		w.ledger.extended(l, cs[i], lease, ttl, errs[i])
	}
	return errs
}

// told notes that a process heard of having lost a claim. What it does not have any more it was
// not told about.
func (l *process) told(nonce string) {
	if c := l.sim.ledger.owner[nonce]; c != nil && c.lost {
		c.told = true
		delete(l.holds, nonce)
	}
}

// sentAt is what the Machine takes for the time at which a call is sent.
func (l *process) sentAt(f callFate) time.Time {
	if l.sim.mut.leaseFromAnswer {
		return l.now().Add(f.answer)
	}
	return l.now()
}
