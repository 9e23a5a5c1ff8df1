package simulation

import (
	"context"
	"time"
)

// publishing is a publisher that wants one copy of an event confirmed, and tries until it is.
type publishing struct {
	event *testEvent
	tries int
}

const maxTries = 6

// publishAll plans every copy of every event.
func (sim *simulation) publishAll() {
	for _, t := range sim.journal.events {
		copies := 1
		if sim.chance(0.4) {
			copies += 1 + sim.rand.IntN(2)
		}
		for range copies {
			sim.publishLater(t, sim.sc.publishing)
		}
	}
}

func (sim *simulation) publishLater(t *testEvent, within time.Duration) {
	p := &publishing{event: t}
	sim.publishings++
	sim.after(nil, sim.between(0, within), func() { sim.publish(p) })
}

// publish is one try: ok, lost, or unknown.
func (sim *simulation) publish(p *publishing) {
	p.tries++
	f := sim.drawFate(sim.sc.busTrouble)
	var seq uint64
	if f.applied {
		sim.after(nil, f.apply, func() { seq = sim.storeEvent(p.event) })
	}
	sim.after(nil, f.answer, func() {
		switch {
		case !f.failed && seq > 0:
			sim.confirm(p.event, seq)
			sim.publishings--
		case p.tries < maxTries:
			sim.publish(p)
		default:
			sim.publishings--
		}
	})
}

// confirm is what the publisher is told. What a restore has undone meanwhile is lost by the bus.
func (sim *simulation) confirm(t *testEvent, seq uint64) {
	sim.note("confirmed", "pub", t.name, int64(seq))
	if sim.faults.undone(sim, t, seq) {
		return
	}
	t.confirmed = append(t.confirmed, sim.elapsed)
}

// storeEvent is the moment at which the bus has it. It returns where; 0: the bus refused it.
func (sim *simulation) storeEvent(t *testEvent) uint64 {
	rs, err := sim.publisher.Publish(context.Background(), t.event)
	if err != nil {
		return 0
	}
	seq := rs[0].Sequence
	sim.note("published", "pub", t.name, int64(seq))
	if !rs[0].Duplicate {
		t.sequences = append(t.sequences, seq)
		sim.journal.at[seq] = t
	}
	return seq
}
