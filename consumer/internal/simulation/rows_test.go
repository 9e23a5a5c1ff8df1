package simulation

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// rows is the store as the processes see it: its rows vanish, it refuses items, and it has no room
// for new keys, when a fault says so.
type rows struct {
	sim   *simulation
	store *memdedupe.Store

	generation map[dedupe.Key]int  // of the row of a key: who has vanished comes back as another
	kept       map[dedupe.Key]bool // there is a row, expired or not
	picked     *testEvent          // whose settlements and marks are refused until all others are done
}

var errNotNow = errors.New("not now")

func newRows(sim *simulation, store *memdedupe.Store) *rows {
	return &rows{sim: sim, store: store, generation: make(map[dedupe.Key]int), kept: make(map[dedupe.Key]bool)}
}

// name is the key of the present row of k.
func (r *rows) name(k dedupe.Key) dedupe.Key {
	if n := r.generation[k]; n > 0 {
		k.Group += "/" + strconv.Itoa(n)
	}
	return k
}

// vanish takes the row of a key away.
func (r *rows) vanish(k dedupe.Key) {
	r.generation[k]++
	delete(r.kept, k)
}

// refuses is why an item is refused, nil if it is not. held: what it is about was let in before.
func (r *rows) refuses(k dedupe.Key, held bool) error {
	f, now := &r.sim.faults, r.sim.elapsed
	switch {
	case f.storePicky > now && r.sim.chance(0.3):
		return errNotNow
	case f.storeFull > now && !r.kept[k] && (!held || r.sim.mut.fullRefusesHeld):
		return dedupe.ErrFull
	case f.storeFull > now && held && r.sim.mut.fullRefusesHeld:
		return dedupe.ErrFull
	}
	return nil
}

func (r *rows) isPicked(k dedupe.Key) bool { return r.picked != nil && r.picked.key == k }

// mayHold reports whether a claim is its owner's: who was superseded is told that.
func (r *rows) mayHold(nonce string) bool {
	c := r.sim.ledger.owner[nonce]
	return c == nil || !c.lost
}

// Seen implements dedupe.Store.
func (r *rows) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	named := make([]dedupe.Key, len(keys))
	for i, k := range keys {
		named[i] = r.name(k)
	}
	records, err := r.store.Seen(ctx, named)
	for i, k := range keys {
		if r.sim.sc.seenTells && r.sim.faults.storeFull > r.sim.elapsed && !r.kept[k] {
			records[i].Err = dedupe.ErrFull
		}
	}
	return records, err
}

// Mark implements dedupe.Store.
func (r *rows) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	errs := make([]error, len(marks))
	for i, m := range marks {
		k := m.Key
		if errs[i] = r.refuses(k, false); errs[i] == nil && r.isPicked(k) {
			errs[i] = dedupe.ErrKeyRefused
		}
		if errs[i] != nil {
			continue
		}
		m.Key = r.name(k)
		one, err := r.store.Mark(ctx, []dedupe.Mark{m})
		if err != nil {
			return nil, err
		}
		r.kept[k], errs[i] = true, one[0]
	}
	return errs, nil
}

// Claim implements dedupe.Claimer.
func (r *rows) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	cs := make([]dedupe.Claim, len(rs))
	for i, q := range rs {
		k := q.Key
		if err := r.refuses(k, false); err != nil {
			cs[i] = dedupe.Claim{Key: k, Nonce: q.Nonce, Err: err}
			continue
		}
		q.Key = r.name(k)
		one, err := r.store.Claim(ctx, []dedupe.Request{q})
		if err != nil {
			return nil, err
		}
		cs[i], r.kept[k] = one[0], true
		cs[i].Key = k
	}
	return cs, nil
}

// Extend implements dedupe.Claimer.
func (r *rows) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	errs := make([]error, len(cs))
	for i, c := range cs {
		k := c.Key
		if errs[i] = r.changes(k); errs[i] != nil {
			continue
		}
		c.Key = r.name(k)
		one, err := r.store.Extend(ctx, []dedupe.Claim{c}, lease, ttl)
		if err != nil {
			return nil, err
		}
		r.kept[k], errs[i] = r.kept[k] || one[0] == nil, one[0]
	}
	return errs, nil
}

// Settle implements dedupe.Claimer.
func (r *rows) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	errs := make([]error, len(ss))
	for i, s := range ss {
		k := s.Claim.Key
		if errs[i] = r.changes(k); errs[i] == nil && r.isPicked(k) && s.Outcome == dedupe.Succeeded && r.mayHold(s.Claim.Nonce) {
			errs[i] = dedupe.ErrKeyRefused
		}
		if errs[i] != nil {
			continue
		}
		s.Claim.Key = r.name(k)
		one, err := r.store.Settle(ctx, []dedupe.Settlement{s})
		if err != nil {
			return nil, err
		}
		r.kept[k], errs[i] = r.kept[k] || one[0] == nil, one[0]
	}
	return errs, nil
}

// changes is why a claim is not renewed, or ended.
func (r *rows) changes(k dedupe.Key) error {
	if r.sim.mut.absentIsLost && !r.kept[k] {
		return dedupe.ErrSuperseded
	}
	return r.refuses(k, true)
}

// vanishOne takes away the row of the first claim of a key: of later ones, a settlement of the
// owner before may be on its way still.
func (sim *simulation) vanishOne() {
	var held []*claim
	for _, t := range sim.journal.events {
		r := sim.ledger.rows[t.key]
		if r == nil || r.vanished {
			continue
		}
		if c := r.holder(); c != nil && len(r.claims) == 1 && sim.ledger.now().Before(r.expires) {
			held = append(held, c)
		}
	}
	if len(held) == 0 || sim.sc.marks {
		return
	}
	c := pick(sim.rand, held...)
	sim.note("row vanishes", c.process.id, c.key.ID, int64(c.token))
	sim.rows.vanish(c.key)
	sim.ledger.rows[c.key].vanished = true
}

// pickOne has the success of one event refused from now on. Nobody waits for it but what shares
// its key or its id, and suspects, which must be alone. In mode seen/mark each process may have
// run it, and where one success is all that may be unmarked, all of them stand still. An event
// whose key the store refuses leaves no row: whoever has nacked it learns only from the bus's
// floor, which stays below the picked event, that another process has dead-lettered it.
func (sim *simulation) pickOne() {
	if cfg := &sim.sc.protocol; sim.sc.marks && max(cfg.MaxUnmarked, cfg.Concurrency) == 1 {
		return
	}
	if slices.ContainsFunc(sim.journal.events, func(t *testEvent) bool {
		return t.script == poison || t.script == refused && t.event.Key != ""
	}) {
		return
	}
	for _, t := range sim.journal.events {
		if t.script == fine && t.event.Key == "" && !t.reused && len(t.runs) == 0 {
			sim.rows.picked, t.picked = t, true
			sim.note("picked", "", t.name, 0)
			return
		}
	}
}

// release lets the picked event be marked, once all others are concluded.
func (sim *simulation) release() {
	for _, t := range sim.journal.events {
		if t != sim.rows.picked && t.expected() && !t.concluded() {
			return
		}
	}
	if sim.rows.picked != nil {
		sim.note("released", "", sim.rows.picked.name, 0)
		sim.rows.picked = nil
	}
}
