package simulation

import (
	"context"
	"time"
)

// publishing is a publisher that wants one copy of a thing confirmed, and tries until it is.
type publishing struct {
	thing *testEvent
	tries int
}

const maxTries = 6

// publishAll plans every copy of every thing.
func (w *simulation) publishAll() {
	for _, t := range w.journal.events {
		copies := 1
		if w.chance(0.4) {
			copies += 1 + w.rand.IntN(2)
		}
		for range copies {
			w.publishLater(t, w.sc.publishing)
		}
	}
}

func (w *simulation) publishLater(t *testEvent, within time.Duration) {
	p := &publishing{thing: t}
	w.publishings++
	w.after(nil, w.between(0, within), func() { w.publish(p) })
}

// publish is one try: ok, lost, or unknown.
func (w *simulation) publish(p *publishing) {
	p.tries++
	f := w.drawFate(w.sc.busTrouble)
	var seq uint64
	if f.applied {
		w.after(nil, f.apply, func() { seq = w.storeEvent(p.thing) })
	}
	w.after(nil, f.answer, func() {
		switch {
		case !f.failed && seq > 0:
			w.confirm(p.thing, seq)
			w.publishings--
		case p.tries < maxTries:
			w.publish(p)
		default:
			w.publishings--
		}
	})
}

// confirm is what the publisher is told. What a restore has undone meanwhile is lost by the bus.
func (w *simulation) confirm(t *testEvent, seq uint64) {
	w.note("confirmed", "pub", t.name, int64(seq))
	if w.faults.undone(w, t, seq) {
		return
	}
	t.confirmed = append(t.confirmed, w.elapsed)
}

// storeEvent is the moment at which the bus has it. It returns where; 0: the bus refused it.
func (w *simulation) storeEvent(t *testEvent) uint64 {
	rs, err := w.publisher.Publish(context.Background(), t.event)
	if err != nil {
		return 0
	}
	seq := rs[0].Sequence
	w.note("published", "pub", t.name, int64(seq))
	if !rs[0].Duplicate {
		t.sequences = append(t.sequences, seq)
		w.journal.at[seq] = t
	}
	return seq
}
