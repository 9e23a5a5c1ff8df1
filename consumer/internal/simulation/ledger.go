package simulation

import (
	"errors"
	"strings"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// ledger follows what the store answers, and knows what it should have. Its times are the store's.
type ledger struct {
	sim   *simulation
	rows  map[dedupe.Key]*row
	owner map[string]*claim
}

// row is a key.
type row struct {
	claims            []*claim // as they were won, the last is the present one
	state             dedupe.State
	attempts, crashes int
	due, expires      time.Time
	letter            string
	vanished          bool // the store has lost it, and nobody has written it since
}

// claim is one owner's time with a key.
type claim struct {
	nonce   string
	token   uint64
	key     dedupe.Key
	life    *process
	thing   *testEvent
	until   time.Time     // end of its lease
	won     time.Duration // when, in the world's time
	ended   time.Duration // settled or taken over
	settled bool
	outcome dedupe.Outcome
	lost    bool // taken over while unsettled
	told    bool // its owner heard that it is superseded
	ending  bool // its owner has sent a settlement
	asked   bool // for a renewal, which is not answered
	run     *run
}

func newLedger(w *simulation) ledger {
	return ledger{sim: w, rows: make(map[dedupe.Key]*row), owner: make(map[string]*claim)}
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
		r.state, r.attempts, r.crashes, r.due, r.letter = dedupe.Fresh, 0, 0, time.Time{}, ""
	}
	return r
}

func (r *row) last() *claim {
	if len(r.claims) == 0 {
		return nil
	}
	return r.claims[len(r.claims)-1]
}

// holder is who has the key now: the last claim, if nothing has ended it.
func (r *row) holder() *claim {
	if c := r.last(); c != nil && !c.lost && (r.state == dedupe.Held || r.state == dedupe.DeadLettering) {
		return c
	}
	return nil
}

// holds: a claim is its owner's, and not settled.
func (g *ledger) holds(nonce string) bool {
	c := g.owner[nonce]
	return c != nil && !c.settled && g.row(c.key).holder() == c
}

// claimed is the moment at which the store answers a claim.
func (g *ledger) claimed(l *process, q dedupe.Request, c dedupe.Claim) {
	g.sim.note("claim "+c.State.String(), l.id, q.Key.ID, int64(c.Token))
	if c.Err != nil || (c.State != dedupe.Fresh && c.State != dedupe.DeadLettering) {
		return
	}
	r, now := g.row(q.Key), g.now()
	if r.vanished {
		g.forget(r, q, c)
	}
	if c.State == dedupe.Fresh && (r.state == dedupe.Done || r.state == dedupe.Dead) {
		g.sim.violate("I3", "%s is %v, and was claimed anew by %s", q.Key.ID, r.state, l.id)
	}
	if g.sim.sc.marks && g.owner[q.Nonce] != nil {
		return // asked again: there is nothing to win
	}
	if h := r.holder(); h == nil || h.nonce != q.Nonce {
		g.won(l, r, q, c)
	}
	r.last().until = now.Add(q.Lease)
	r.expires = now.Add(q.TTL)
	if !g.sim.sc.marks && (c.Attempts != r.attempts || c.Crashes != r.crashes) {
		g.sim.violate("I11", "%s has %d attempts and %d crashes, and the claim of %s says %d and %d",
			q.Key.ID, r.attempts, r.crashes, l.id, c.Attempts, c.Crashes)
	}
}

// forget is a claim of a key whose row has vanished: it starts again, and whoever had it before is
// superseded, unless it is that very request, applied once more.
func (g *ledger) forget(r *row, q dedupe.Request, answer dedupe.Claim) {
	c := r.last()
	for _, t := range g.sim.journal.events {
		t.forgotten = t.forgotten || t.key == c.key
	}
	if c.nonce == q.Nonce {
		r.vanished, r.state, r.attempts, r.crashes = false, dedupe.Held, answer.Attempts, answer.Crashes
		return
	}
	c.lost, c.ended = true, g.sim.elapsed
	*r = row{claims: r.claims, expires: r.expires}
}

// won is a claim that is new.
func (g *ledger) won(l *process, r *row, q dedupe.Request, c dedupe.Claim) {
	w, now := g.sim, g.now()
	if h := r.holder(); h != nil {
		if now.Before(h.until) && !w.sc.marks {
			w.violate("I6", "%s was claimed by %s while a lease of %s runs for %v", q.Key.ID, l.id, h.life.id, h.until.Sub(now))
		}
		if r.state == dedupe.Held {
			r.crashes++
		}
		h.lost, h.ended = true, w.elapsed
	}
	if last := r.last(); last != nil && c.Token <= last.token && !w.sc.marks {
		w.violate("I6", "%s was claimed by %s under token %d after %d", q.Key.ID, l.id, c.Token, last.token)
	}
	if r.state != dedupe.DeadLettering {
		r.state = dedupe.Held
	}
	n := &claim{nonce: q.Nonce, token: c.Token, key: q.Key, life: l, thing: w.journal.byHash(q.Hash), won: w.elapsed}
	r.claims = append(r.claims, n)
	g.owner[q.Nonce] = n
}

// extended is the moment at which a lease is renewed, or not.
func (g *ledger) extended(l *process, c dedupe.Claim, lease, ttl time.Duration, err error) {
	if err != nil {
		g.sim.note("not extended", l.id, c.Key.ID, int64(c.Token))
		g.refused(l, c, err)
		return
	}
	r := g.row(c.Key)
	r.vanished = false
	h := r.holder()
	if h == nil || h.nonce != c.Nonce {
		if !g.sim.sc.marks {
			g.sim.violate("I6", "a stale renewal of %s by %s matched", c.Key.ID, l.id)
		}
		return
	}
	h.until, r.expires = g.now().Add(lease), g.now().Add(ttl)
}

// settled is the moment at which a claim is ended, or was not the caller's.
func (g *ledger) settled(l *process, s dedupe.Settlement, err error) {
	w := g.sim
	w.note("settle "+s.Outcome.String(), l.id, s.Claim.Key.ID, truth(err == nil))
	if err != nil {
		g.refused(l, s.Claim, err)
		return
	}
	r := g.row(s.Claim.Key)
	r.vanished = false
	c := r.last()
	if c == nil || c.nonce != s.Claim.Nonce {
		if !w.sc.marks {
			w.violate("I6", "a stale settlement (%v) of %s by %s matched", s.Outcome, s.Claim.Key.ID, l.id)
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
	g.apply(r, c, s)
}

// refused holds the answer to an owner that was turned away against what the store may say.
func (g *ledger) refused(l *process, c dedupe.Claim, err error) {
	r := g.row(c.Key)
	own := r.last() != nil && r.last().nonce == c.Nonce
	switch {
	case errors.Is(err, dedupe.ErrSuperseded) && own && r.vanished:
		g.sim.violate("absent", "%s was told that its claim of %s is another's, and its row is only gone", l.id, c.Key.ID)
	case errors.Is(err, dedupe.ErrFull) && own && !g.sim.sc.marks:
		g.sim.violate("room", "a full store refused what %s holds of %s", l.id, c.Key.ID)
	}
}

func (g *ledger) apply(r *row, c *claim, s dedupe.Settlement) {
	w := g.sim
	c.settled, c.ended = true, w.elapsed
	switch s.Outcome {
	case dedupe.Succeeded:
		r.state = dedupe.Done
		g.done(c)
	case dedupe.Failed, dedupe.NotBegun:
		r.state, r.due = dedupe.Fresh, g.now().Add(s.After)
		if s.Outcome == dedupe.Failed {
			r.attempts++
		}
	case dedupe.GivenUp:
		r.state, r.letter = dedupe.DeadLettering, s.Letter
		c.until = g.now().Add(s.Lease)
		if s.CountAttempt {
			r.attempts++
		}
		g.justify(r, c, s)
	case dedupe.DeadLettered:
		r.state = dedupe.Dead
		if !c.thing.deadLettered() {
			w.violate("I4", "%s is dead, and has no letter", c.key.ID)
		}
	}
	if r.attempts > w.sc.protocol.MaxAttempts && !w.sc.marks {
		w.violate("I11", "%s has %d attempts, of at most %d", c.key.ID, r.attempts, w.sc.protocol.MaxAttempts)
	}
}

// done holds a mark against the run that it is for.
func (g *ledger) done(c *claim) {
	c.thing.marked = true
	if c.run == nil || !c.run.succeeded {
		g.sim.violate("I5", "%s was marked by %s without a success", c.key.ID, c.life.id)
	}
}

// justify holds a dead letter's reason against what was recorded.
func (g *ledger) justify(r *row, c *claim, s dedupe.Settlement) {
	cfg, w := &g.sim.sc.protocol, g.sim
	if w.sc.marks {
		return
	}
	switch {
	case strings.HasPrefix(s.Reason, "failed") && r.attempts != cfg.MaxAttempts:
		w.violate("I11", "%s was given up after %d attempts of %d: %s", c.key.ID, r.attempts, cfg.MaxAttempts, s.Reason)
	case strings.HasPrefix(s.Reason, "crashed") && r.crashes < cfg.MaxCrashes:
		w.violate("I11", "%s was given up after %d crashes of %d: %s", c.key.ID, r.crashes, cfg.MaxCrashes, s.Reason)
	case strings.HasPrefix(s.Reason, "crashed") && c.thing.script != poison && !w.sc.crashy() && (c.thing.script != stuck || !w.sc.transact):
		w.violate("alone", "%s was taken for what kills its process, and is %s", c.key.ID, c.thing.script)
	case strings.HasSuffix(s.Reason, noAnswer) && !strings.HasPrefix(s.Reason, "too old") && c.thing.onlyOutages():
		w.violate("blame", "%s never reached the receiver, as no event did, and was given up: %s", c.key.ID, s.Reason)
	case strings.HasPrefix(s.Reason, "permanent") && c.thing.script != permanent && c.thing.script != forbidden,
		strings.HasPrefix(s.Reason, "id_reused") && !c.thing.reused,
		strings.HasPrefix(s.Reason, "malformed") && c.thing.script != malformed:
		w.violate("I11", "%s, which is %s, was given up: %s", c.key.ID, c.thing.script, s.Reason)
	}
}
