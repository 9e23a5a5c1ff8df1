package simulation

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// ledger records what the store answers, and what it should hold. Its times are the store's.
type ledger struct {
	sim   *simulation
	rows  map[dedupe.Key]*row
	owner map[string]*claim
}

// row is what the store should hold of a key.
type row struct {
	claims            []*claim // as they were won, the last is the present one
	state             dedupe.State
	attempts, crashes int
	failures          int // runs that failed, also those that count as no attempt
	due, expires      time.Time
	letter            string
	vanished          bool // the store has lost it, and nobody has written it since
}

// claim is one owner's time with a key.
type claim struct {
	nonce   string
	token   uint64
	tokens  []uint64 // those before, where the same request was applied once more
	again   *claim   // the claim before of the same request, which was applied once more, late
	key     dedupe.Key
	process *process
	event   *testEvent
	until   time.Time     // end of its lease
	won     time.Duration // when, in the simulation's time
	ended   time.Duration // settled or taken over
	settled bool
	outcome dedupe.Outcome
	lost    bool // taken over while unsettled
	rowGone bool // for its row had vanished
	told    bool // its owner heard that it is superseded
	ending  bool // its owner has sent a settlement
	asked   bool // for a renewal, which is not answered
	run     *run
}

func newLedger(sim *simulation) ledger {
	return ledger{sim: sim, rows: make(map[dedupe.Key]*row), owner: make(map[string]*claim)}
}

func (g *ledger) now() time.Time { return g.sim.storeTime.now() }

// row finds a key's row, empty if there was none or its time is over.
func (g *ledger) row(k dedupe.Key) *row {
	r := g.rows[k]
	if r == nil {
		r = &row{}
		g.rows[k] = r
	}
	if !g.now().Before(r.expires) {
		r.state, r.attempts, r.crashes, r.failures, r.due, r.letter = dedupe.Fresh, 0, 0, 0, time.Time{}, ""
	}
	return r
}

func (r *row) last() *claim {
	if len(r.claims) == 0 {
		return nil
	}
	return r.claims[len(r.claims)-1]
}

// holder is the claim that holds the key now: the last one, if nothing has ended it.
func (r *row) holder() *claim {
	if c := r.last(); c != nil && !c.lost && (r.state == dedupe.Held || r.state == dedupe.DeadLettering) {
		return c
	}
	return nil
}

// holds reports whether the claim of a nonce is still its owner's, and not settled.
func (g *ledger) holds(nonce string) bool {
	c := g.owner[nonce]
	return c != nil && !c.settled && g.row(c.key).holder() == c
}

// recordClaim records the answer of the store to a claim.
func (g *ledger) recordClaim(proc *process, q dedupe.Request, c dedupe.Claim) {
	g.sim.note("claim "+c.State.String(), proc.id, q.Key.ID, int64(c.Token))
	if c.Err != nil || (c.State != dedupe.Fresh && c.State != dedupe.DeadLettering) {
		return
	}
	r, now := g.row(q.Key), g.now()
	if r.vanished {
		g.forget(r, q, c)
	}
	if c.State == dedupe.Fresh && (r.state == dedupe.Done || r.state == dedupe.Dead) {
		g.sim.violate("I3", "%s is %v, and was claimed again by %s", q.Key.ID, r.state, proc.id)
	}
	if g.sim.sc.marks && g.owner[q.Nonce] != nil {
		return // a repeated request: there is nothing to win
	}
	if h := r.holder(); h == nil || h.nonce != q.Nonce {
		g.recordWon(proc, r, q, c)
	}
	r.last().until = now.Add(q.Lease)
	r.expires = now.Add(q.TTL)
	if !g.sim.sc.marks && (c.Attempts != r.attempts || c.Crashes != r.crashes) {
		g.sim.violate("I11", "%s has %d attempts and %d crashes, and the claim of %s says %d and %d",
			q.Key.ID, r.attempts, r.crashes, proc.id, c.Attempts, c.Crashes)
	}
	if want := min(r.failures, dedupe.MaxHistory); len(c.History) != want && !g.sim.sc.marks {
		g.sim.violate("history", "%s has failed %d times, and the claim of %s has %d attempts in its history", q.Key.ID, r.failures, proc.id, len(c.History))
	}
}

// forget records a claim of a key whose row has vanished: the key starts again, and its former
// owner is superseded, unless it is that very request, applied once more.
func (g *ledger) forget(r *row, q dedupe.Request, answer dedupe.Claim) {
	c := r.last()
	for _, t := range g.sim.journal.events {
		t.forgotten = t.forgotten || t.key == c.key
	}
	if c.nonce == q.Nonce {
		c.tokens, c.token = append(c.tokens, c.token), answer.Token
		r.vanished, r.state, r.attempts, r.crashes, r.failures = false, dedupe.Held, answer.Attempts, answer.Crashes, len(answer.History)
		return
	}
	c.lost, c.rowGone, c.ended = true, true, g.sim.elapsed
	*r = row{claims: r.claims, expires: r.expires}
}

// recordWon records a new claim.
func (g *ledger) recordWon(proc *process, r *row, q dedupe.Request, c dedupe.Claim) {
	sim, now := g.sim, g.now()
	if h := r.holder(); h != nil {
		if now.Before(h.until) && !sim.sc.marks {
			sim.violate("I6", "%s was claimed by %s while a lease of %s runs for %v", q.Key.ID, proc.id, h.process.id, h.until.Sub(now))
		}
		if r.state == dedupe.Held {
			r.crashes++
		}
		h.lost, h.ended = true, sim.elapsed
	}
	if last := r.last(); last != nil && c.Token <= last.token && !sim.sc.marks {
		sim.violate("I6", "%s was claimed by %s under token %d after %d", q.Key.ID, proc.id, c.Token, last.token)
	}
	if r.state != dedupe.DeadLettering {
		r.state = dedupe.Held
	}
	n := &claim{nonce: q.Nonce, token: c.Token, again: g.owner[q.Nonce], key: q.Key, process: proc, event: sim.journal.byHash(q.Hash), won: sim.elapsed}
	r.claims = append(r.claims, n)
	g.owner[q.Nonce] = n
}

// recordRenewed records the answer of the store to a renewal.
func (g *ledger) recordRenewed(proc *process, c dedupe.Claim, lease, ttl time.Duration, err error) {
	if err != nil {
		g.sim.note("not extended", proc.id, c.Key.ID, int64(c.Token))
		g.recordRefused(proc, c, err)
		return
	}
	r := g.row(c.Key)
	r.vanished = false
	h := r.holder()
	if h == nil || h.nonce != c.Nonce {
		if !g.sim.sc.marks {
			g.sim.violate("I6", "a stale renewal of %s by %s matched", c.Key.ID, proc.id)
		}
		return
	}
	h.until, r.expires = g.now().Add(lease), g.now().Add(ttl)
}

// recordSettled records the answer of the store to a settlement.
func (g *ledger) recordSettled(proc *process, s dedupe.Settlement, err error) {
	sim := g.sim
	sim.note("settle "+s.Outcome.String(), proc.id, s.Claim.Key.ID, truth(err == nil))
	if err != nil {
		g.recordRefused(proc, s.Claim, err)
		return
	}
	r := g.row(s.Claim.Key)
	r.vanished = false
	c := r.last()
	if c == nil || c.nonce != s.Claim.Nonce {
		if !sim.sc.marks {
			sim.violate("I6", "a stale settlement (%v) of %s by %s matched", s.Outcome, s.Claim.Key.ID, proc.id)
			return
		}
		if c = g.owner[s.Claim.Nonce]; c == nil {
			return
		}
	}
	if c.settled && (c.outcome == s.Outcome || c.outcome == dedupe.DeadLettered) {
		return // a repeat
	}
	c.outcome, r.expires = s.Outcome, g.now().Add(s.TTL)
	g.applySettlement(r, c, s)
}

// recordRefused checks the answer to an owner whose claim is another's.
func (g *ledger) recordRefused(proc *process, c dedupe.Claim, err error) {
	r := g.row(c.Key)
	own := r.last() != nil && r.last().nonce == c.Nonce
	switch {
	case errors.Is(err, dedupe.ErrSuperseded) && own && r.vanished:
		g.sim.violate("absent", "%s was told that its claim of %s is another's, and its row is only gone", proc.id, c.Key.ID)
	case errors.Is(err, dedupe.ErrFull) && own && !g.sim.sc.marks:
		g.sim.violate("room", "a full store refused what %s holds of %s", proc.id, c.Key.ID)
	}
}

func (g *ledger) applySettlement(r *row, c *claim, s dedupe.Settlement) {
	sim := g.sim
	c.settled, c.ended = true, sim.elapsed
	repeated := c.again.recorded(s.Attempt) // request and settlement were both applied once more, with another owner in between
	switch s.Outcome {
	case dedupe.Succeeded:
		r.state = dedupe.Done
		g.endClaim(c)
	case dedupe.Failed, dedupe.NotBegun:
		r.state, r.due = dedupe.Fresh, g.now().Add(s.After)
		if s.Outcome == dedupe.Failed && !repeated {
			r.attempts++
		}
	case dedupe.GivenUp:
		r.state, r.letter = dedupe.DeadLettering, s.Letter
		c.until = g.now().Add(s.Lease)
		if s.CountAttempt && !repeated {
			r.attempts++
		}
		g.checkJustified(r, c, s)
	case dedupe.DeadLettered:
		r.state = dedupe.Dead
		if !c.event.deadLettered() {
			sim.violate("I4", "%s is dead, and has no letter", c.key.ID)
		}
	}
	if !repeated {
		g.recordAttempt(r, c, s)
	}
	if r.attempts > sim.sc.protocol.MaxAttempts && !sim.sc.marks {
		sim.violate("I11", "%s has %d attempts, of at most %d", c.key.ID, r.attempts, sim.sc.protocol.MaxAttempts)
	}
}

// recordAttempt checks that a run which failed is in the history of its event, and nothing else.
func (g *ledger) recordAttempt(r *row, c *claim, s dedupe.Settlement) {
	if g.sim.sc.marks {
		return
	}
	number := r.attempts
	if !s.AddsAttempt() {
		number++
	}
	switch a := s.Attempt; {
	case a == nil && s.AddsAttempt():
		g.sim.violate("history", "%s counts an attempt of %s that is not in its history", c.key.ID, c.process.id)
	case a != nil && c.run == nil:
		g.sim.violate("history", "%s has an attempt of %s in its history that was not run: %+v", c.key.ID, c.process.id, *a)
	case a != nil && (a.Number != number || !c.had(a.Token) || a.Process != c.process.id):
		g.sim.violate("history", "%s has attempt %d of %s, under token %d, in its history as %+v", c.key.ID, number, c.process.id, c.token, *a)
	case a != nil:
		r.failures++
	}
}

// had reports whether a claim was won under a token.
func (c *claim) had(token uint64) bool { return token == c.token || slices.Contains(c.tokens, token) }

// recorded reports whether an attempt was made under a claim, or one before it of the same request,
// and settled with that.
func (c *claim) recorded(a *dedupe.Attempt) bool {
	return c != nil && a != nil && (c.run != nil && c.settled && c.had(a.Token) || c.again.recorded(a))
}

// endClaim checks a mark: its run must have succeeded.
func (g *ledger) endClaim(c *claim) {
	c.event.marked = true
	if c.run == nil || !c.run.succeeded {
		g.sim.violate("I5", "%s was marked by %s without a success", c.key.ID, c.process.id)
	}
}

// checkJustified compares the reason of a dead letter with what was recorded.
func (g *ledger) checkJustified(r *row, c *claim, s dedupe.Settlement) {
	cfg, sim := &g.sim.sc.protocol, g.sim
	if sim.sc.marks {
		return
	}
	switch {
	case strings.HasPrefix(s.Reason, "failed") && r.attempts != cfg.MaxAttempts:
		sim.violate("I11", "%s was given up after %d attempts of %d: %s", c.key.ID, r.attempts, cfg.MaxAttempts, s.Reason)
	case strings.HasPrefix(s.Reason, "crashed") && r.crashes < cfg.MaxCrashes:
		sim.violate("I11", "%s was given up after %d crashes of %d: %s", c.key.ID, r.crashes, cfg.MaxCrashes, s.Reason)
	case strings.HasPrefix(s.Reason, "crashed") && c.event.script != poison && !sim.sc.crashy() && (c.event.script != stuck || !sim.sc.transact):
		sim.violate("alone", "%s was taken for what kills its process, and is %s", c.key.ID, c.event.script)
	case strings.HasSuffix(s.Reason, noAnswer) && !strings.HasPrefix(s.Reason, "too old") && c.event.onlyOutages():
		sim.violate("blame", "%s never reached the receiver, as no event did, and was given up: %s", c.key.ID, s.Reason)
	case strings.HasPrefix(s.Reason, "permanent") && c.event.script != permanent && c.event.script != forbidden,
		strings.HasPrefix(s.Reason, "id_reused") && !c.event.reused,
		strings.HasPrefix(s.Reason, "malformed") && c.event.script != malformed:
		sim.violate("I11", "%s, which is %s, was given up: %s", c.key.ID, c.event.script, s.Reason)
	}
}
