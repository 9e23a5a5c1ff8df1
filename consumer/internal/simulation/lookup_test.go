package simulation

import (
	"context"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// lookUp finds out what became of events that were nacked and are overdue: what the bus has now,
// and a little later what the store knows.
func (proc *process) lookUp() bool {
	if proc.sim.mut.neverLooks {
		return false
	}
	b := proc.machine.Lookups(proc.now())
	if b.Empty() {
		return false
	}
	sim, ctx := proc.sim, context.Background()
	at, keys := make([]bus.Position, len(b.Items)), make([]dedupe.Key, len(b.Items))
	for i, q := range b.Items {
		at[i], keys[i] = q.At, q.Key
		sim.note("look up", proc.id, q.Key.ID, int64(q.At.Sequence))
	}
	there, err := bus.Exists(ctx, sim.bus, at)
	sim.must(err)
	gone := make(map[bus.Position]bool)
	for _, p := range at {
		gone[p] = sim.gone(p) // a restore may bring it back before the answer comes
	}
	var known []dedupe.Record
	proc.call(proc.storeFate(), func() {
		known, err = sim.rows.Seen(ctx, keys)
		sim.must(err)
	}, func(err error) {
		if err == nil && sim.mut.lookedUp != nil {
			sim.mut.lookedUp(known, there)
		}
		for i := range b.Items {
			if err == nil {
				sim.note("known "+known[i].State.String(), proc.id, b.Items[i].Key.ID, truth(there[i]))
			}
		}
		for _, g := range proc.machine.LookedUp(proc.now(), b, known, there, err) {
			sim.note("gone", proc.id, g.Key.ID, int64(g.At.Sequence))
			proc.checkGone(g, gone[g.At])
		}
	})
	return true
}
