package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// fetchEvents asks the bus for events, as many as the Machine wants.
func (proc *process) fetchEvents() bool {
	if proc.fetching || proc.pausedByMutation {
		return false
	}
	n, ok := proc.machine.Fetch(proc.now())
	if !ok {
		return false
	}
	proc.fetching = true
	if n > 0 {
		proc.checkOwner("fetches")
	}
	sim := proc.sim
	f := sim.drawFate(sim.sc.busTrouble / 2)
	var got pull
	if f.applied {
		sim.after(nil, f.apply, func() { got = proc.pullEvents(n) })
	}
	wait := time.Duration(0)
	if n > 0 {
		wait = sim.between(0, 300*time.Millisecond) // a pull waits for the first event
	}
	sim.after(proc, f.answer+wait, func() {
		if len(got.deliveries) == 0 && n > 0 && !f.failed {
			got = proc.pullEvents(n)
		}
		switch {
		case f.failed:
			got.deliveries = nil // stranded until their deadline
		case got.lost && proc.mayRebuild():
			proc.rebuild()
			if proc.over {
				return
			}
		}
		proc.takeEvents(proc.takeCounted(got.deliveries))
	})
	return true
}

// pull is what the bus answers to a fetch.
type pull struct {
	deliveries []*bus.Delivery
	lost       bool // the cursor is gone
}

// pullEvents is the moment at which the bus hands events over.
func (proc *process) pullEvents(n int) pull {
	if proc.over {
		return pull{}
	}
	ds, err := proc.source.TryFetch(n)
	proc.sim.owned.countDeliveries(ds)
	if errors.Is(err, bus.ErrConsumerLost) || proc.cursorLost {
		return pull{lost: true}
	}
	proc.sim.must(err)
	return pull{deliveries: ds}
}

func (proc *process) takeEvents(ds []*bus.Delivery) {
	sim := proc.sim
	proc.fetching = false
	as := make([]protocol.Arrival, len(ds))
	for i, d := range ds {
		t := sim.journal.of(&d.Event)
		_, foreign, _ := protocol.TakeControl(d, group) // what it refuses to obey is told to people only
		as[i] = protocol.Arrival{Delivery: d, Foreign: foreign, Key: t.key, Hash: t.hash(), Order: d.Event.Key}
		if t.script == malformed {
			as[i].DeadLetterReason = "malformed: no event"
		}
		sim.note("fetched", proc.id, t.name, int64(d.Arrivals))
		sim.journal.lies[d.At.Sequence] = d.At
		proc.latest[t.key] = d
		proc.order.noteArrived(proc, d)
	}
	proc.machine.Fetched(proc.now(), as)
	proc.planTurn()
}

// collectAnswers takes from the Machine what the bus is to be told.
func (proc *process) collectAnswers() {
	for _, a := range proc.machine.Answers() {
		proc.handOver(a)
		if mut := proc.sim.mut.answer; mut != nil {
			a = mut(a)
		}
		proc.checkSilent(a)
		proc.order.noteAnswered(proc, a)
		if a.Kind == protocol.Ack {
			proc.acked = append(proc.acked, a.Delivery.At)
		}
		proc.outbox = append(proc.outbox, a)
	}
}

// sendAnswers tells the bus all that was collected.
func (proc *process) sendAnswers() bool {
	as := proc.outbox
	proc.outbox = nil
	for _, a := range as {
		proc.sendAnswer(a)
	}
	return len(as) > 0
}

var answers = [...]string{protocol.None: "none", protocol.Ack: "ack", protocol.Nak: "nak", protocol.ExtendAckWait: "progress"}

func (proc *process) sendAnswer(a protocol.Answer) {
	sim, d := proc.sim, a.Delivery
	t := sim.journal.of(&d.Event)
	sim.note(answers[a.Kind], proc.id, t.name, int64(a.After))
	proc.checkTold(a)
	if a.Kind == protocol.Ack && !t.concluded() && !t.lost && !t.misled { // misled: the bus's own floor may cover it
		sim.violate("I4", "%s acknowledged %s, which is neither marked nor dead-lettered", proc.id, t.name)
	}
	ctx := context.Background()
	switch a.Kind {
	case protocol.Ack:
		knew := proc.order.before(d, proc.rebuilt)
		proc.send(func() {
			proc.checkAck(d, t, knew)
			sim.must(d.Ack(ctx))
		})
	case protocol.Nak:
		proc.send(func() { sim.must(d.Nak(ctx, a.After)) })
	case protocol.ExtendAckWait:
		proc.send(func() { _ = d.Extend(ctx) }) // it may have been settled meanwhile
	case protocol.None:
	}
}

// publishLetters stores dead letters.
func (proc *process) publishLetters() bool {
	letters := proc.machine.Letters(proc.now())
	for _, p := range letters {
		p.Tried = p.Tried && !proc.sim.mut.lettersNotLookedUp
		proc.publishLetter(p)
	}
	return len(letters) > 0
}

func (proc *process) publishLetter(p *protocol.Letter) {
	sim := proc.sim
	f := sim.drawFate(sim.sc.busTrouble)
	failed, at := f.failed, sim.faults.busEpoch
	if f.applied {
		sim.after(nil, f.apply, func() {
			if at != sim.faults.busEpoch && sim.chance(0.5) {
				failed = true
				return
			}
			sim.storeLetter(p)
		})
	}
	sim.after(proc, f.answer, func() {
		var err error
		if failed {
			err = errLost
			proc.endHold(p.Key)
		}
		sim.note("posted", proc.id, p.Key.ID, truth(err == nil))
		proc.machine.LetterPublished(proc.now(), p, err)
		proc.planTurn()
	})
}

// endHold notes that a dead letter which was not stored is another claim's to repeat.
func (proc *process) endHold(k dedupe.Key) {
	if r := proc.sim.ledger.rows[k]; r != nil {
		for _, c := range r.claims {
			delete(proc.heldClaims, c.nonce)
		}
	}
}

// storeLetter is the moment at which the bus has a dead letter. One that was tried before is looked
// up first: the bus may have forgotten its id.
func (sim *simulation) storeLetter(p *protocol.Letter) {
	t := sim.journal.of(&p.Delivery.Event)
	known := slices.ContainsFunc(t.letters, func(l letter) bool { return l.id == p.ID })
	if p.Tried && known {
		return
	}
	e := p.Delivery.Event
	e.Topic = deadTo
	_, err := sim.publisher.Publish(context.Background(), e.WithControl(bus.Control{Letter: p.ID}))
	sim.must(err)
	sim.note("letter", "", t.name, 0)
	if !known {
		t.letters = append(t.letters, letter{id: p.ID, reason: p.Reason})
	}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
