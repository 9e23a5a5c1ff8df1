package simulation

import (
	"context"
	"time"
)

// publishing is a publisher that wants one copy of a thing confirmed, and tries until it is.
type publishing struct {
	thing *thing
	tries int
}

const maxTries = 6

// publishAll plans every copy of every thing.
func (w *world) publishAll() {
	for _, t := range w.journal.things {
		copies := 1
		if w.chance(0.4) {
			copies += 1 + w.rand.IntN(2)
		}
		for range copies {
			w.publishLater(t, w.sc.publishing)
		}
	}
}

func (w *world) publishLater(t *thing, within time.Duration) {
	p := &publishing{thing: t}
	w.after(nil, w.between(0, within), func() { w.publish(p) })
}

// publish is one try: ok, lost, or unknown.
func (w *world) publish(p *publishing) {
	p.tries++
	f := w.fate(w.sc.busTrouble)
	var err error
	if f.applied {
		w.after(nil, f.apply, func() { err = w.storeEvent(p.thing) })
	}
	w.after(nil, f.answer, func() {
		if !f.failed && err == nil {
			p.thing.confirmed = append(p.thing.confirmed, w.elapsed)
			w.note("confirmed", "pub", p.thing.name, 0)
		} else if p.tries < maxTries {
			w.publish(p)
		}
	})
}

// storeEvent is the moment at which the bus has it.
func (w *world) storeEvent(t *thing) error {
	rs, err := w.publisher.Publish(context.Background(), t.event)
	if err != nil {
		return err
	}
	w.note("published", "pub", t.name, int64(rs[0].Sequence)) //nolint:gosec // few
	if !rs[0].Duplicate {
		t.sequences = append(t.sequences, rs[0].Sequence)
		w.journal.at[rs[0].Sequence] = t
	}
	return nil
}
