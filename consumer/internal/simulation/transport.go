package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// fetch asks the bus for events, as many as the Machine wants.
func (l *process) fetch() bool {
	if l.fetching || l.barred {
		return false
	}
	n, ok := l.m.Fetch(l.now())
	if !ok {
		return false
	}
	l.fetching = true
	w := l.sim
	f := w.drawFate(w.sc.busTrouble / 2)
	var got pull
	if f.applied {
		w.after(nil, f.apply, func() { got = l.take(n) })
	}
	wait := time.Duration(0)
	if n > 0 {
		wait = w.between(0, 300*time.Millisecond) // a pull waits for the first event
	}
	w.after(l, f.answer+wait, func() {
		if len(got.deliveries) == 0 && n > 0 && !f.failed {
			got = l.take(n)
		}
		switch {
		case f.failed:
			got.deliveries = nil // stranded until their deadline
		case got.lost:
			l.rebuild()
			if l.over {
				return
			}
		}
		l.fetched(got.deliveries)
	})
	return true
}

// pull is what the bus answers to a fetch.
type pull struct {
	deliveries []*bus.Delivery
	lost       bool // the cursor is gone
}

// take is the moment at which the bus hands events over.
func (l *process) take(n int) pull {
	if l.over {
		return pull{}
	}
	ds, err := l.src.TryFetch(n)
	if errors.Is(err, bus.ErrConsumerLost) || l.cursorLost {
		return pull{lost: true}
	}
	l.sim.must(err)
	return pull{deliveries: ds}
}

func (l *process) fetched(ds []*bus.Delivery) {
	w := l.sim
	l.fetching = false
	as := make([]protocol.Arrival, len(ds))
	for i, d := range ds {
		t := w.journal.of(&d.Event)
		foreign, _ := protocol.TakeControl(d, group) // what it refuses to obey is told to people only
		as[i] = protocol.Arrival{Delivery: d, Foreign: foreign, Key: t.key, Hash: t.hash(), Order: d.Event.Key}
		if t.script == malformed {
			as[i].DeadLetterReason = "malformed: no event"
		}
		w.note("fetched", l.id, t.name, int64(d.Arrivals))
		w.journal.lies[d.At.Sequence] = d.At
		l.latest[t.key] = d
		l.order.arrived(l, d)
	}
	l.m.Fetched(l.now(), as)
	l.planTurn()
}

// collect takes from the Machine what the bus is to be told.
func (l *process) collect() {
	for _, a := range l.m.Answers() {
		l.unhand(a)
		if mut := l.sim.mut.answer; mut != nil {
			a = mut(a)
		}
		l.checkSilent(a)
		l.order.answered(l, a)
		if a.Kind == protocol.Ack {
			l.acked = append(l.acked, a.Delivery.At)
		}
		l.outbox = append(l.outbox, a)
	}
}

// answer tells the bus all that was collected.
func (l *process) answer() bool {
	as := l.outbox
	l.outbox = nil
	for _, a := range as {
		l.tell(a)
	}
	return len(as) > 0
}

var answers = [...]string{protocol.None: "none", protocol.Ack: "ack", protocol.Nak: "nak", protocol.Progress: "progress"}

func (l *process) tell(a protocol.Answer) {
	w, d := l.sim, a.Delivery
	t := w.journal.of(&d.Event)
	w.note(answers[a.Kind], l.id, t.name, int64(a.After))
	if a.Kind == protocol.Ack && !t.concluded() && !t.lost && !t.misled { // misled: the bus's own floor may cover it
		w.violate("I4", "%s acknowledged %s, which is neither marked nor buried", l.id, t.name)
	}
	ctx := context.Background()
	switch a.Kind {
	case protocol.Ack:
		knew := l.order.before(d, l.rebuilt)
		l.send(func() {
			l.checkAck(d, t, knew)
			w.must(d.Ack(ctx))
		})
	case protocol.Nak:
		l.send(func() { w.must(d.Nak(ctx, a.After)) })
	case protocol.Progress:
		l.send(func() { _ = d.Extend(ctx) }) // it may have been settled meanwhile
	case protocol.None:
	}
}

// publishLetters stores dead letters.
func (l *process) publishLetters() bool {
	letters := l.m.Letters(l.now())
	for _, p := range letters {
		l.publishLetter(p)
	}
	return len(letters) > 0
}

func (l *process) publishLetter(p *protocol.Letter) {
	w := l.sim
	f := w.drawFate(w.sc.busTrouble)
	failed, at := f.failed, w.faults.busEpoch
	if f.applied {
		w.after(nil, f.apply, func() {
			if at != w.faults.busEpoch && w.chance(0.5) {
				failed = true
				return
			}
			w.storeLetter(p)
		})
	}
	w.after(l, f.answer, func() {
		var err error
		if failed {
			err = errLost
			l.endHold(p.Key)
		}
		w.note("posted", l.id, p.Key.ID, truth(err == nil))
		l.m.LetterPublished(l.now(), p, err)
		l.planTurn()
	})
}

// endHold: a burial that failed is another claim's to repeat.
func (l *process) endHold(k dedupe.Key) {
	if r := l.sim.ledger.rows[k]; r != nil {
		for _, c := range r.claims {
			delete(l.holds, c.nonce)
		}
	}
}

// storeLetter is the moment at which the bus has a dead letter.
func (w *simulation) storeLetter(p *protocol.Letter) {
	t := w.journal.of(&p.Delivery.Event)
	e := p.Delivery.Event
	e.Topic = deadTo
	_, err := w.publisher.Publish(context.Background(), e.WithControl(bus.Control{Letter: p.ID}))
	w.must(err)
	w.note("letter", "", t.name, 0)
	for _, known := range t.letters {
		if known.id == p.ID {
			return
		}
	}
	t.letters = append(t.letters, letter{id: p.ID, reason: p.Reason})
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
