package simulation

import (
	"context"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// lookUp finds out what became of events that were nacked and are overdue: what the bus has now,
// and a little later what the store knows.
func (l *process) lookUp() bool {
	if l.sim.mut.neverLooks {
		return false
	}
	b := l.m.Lookups(l.now())
	if b.Empty() {
		return false
	}
	w, ctx := l.sim, context.Background()
	at, keys := make([]bus.Position, len(b.Items)), make([]dedupe.Key, len(b.Items))
	for i, q := range b.Items {
		at[i], keys[i] = q.At, q.Key
		w.note("look up", l.id, q.Key.ID, int64(q.At.Sequence))
	}
	there, err := bus.Exists(ctx, w.bus, at)
	w.must(err)
	gone := make(map[bus.Position]bool)
	for _, p := range at {
		gone[p] = w.gone(p) // a restore may bring it back before the answer comes
	}
	var known []dedupe.Record
	l.call(l.storeFate(), func() {
		known, err = w.rows.Seen(ctx, keys)
		w.must(err)
	}, func(err error) {
		if err == nil && w.mut.lookedUp != nil {
			w.mut.lookedUp(known, there)
		}
		for i := range b.Items {
			if err == nil {
				w.note("known "+known[i].State.String(), l.id, b.Items[i].Key.ID, truth(there[i]))
			}
		}
		for _, g := range l.m.LookedUp(l.now(), b, known, there, err) {
			w.note("gone", l.id, g.Key.ID, int64(g.At.Sequence))
			l.checkGone(g, gone[g.At])
		}
	})
	return true
}
