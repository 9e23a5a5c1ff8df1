package simulation

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
)

// Once the faults are over, something of what is left is settled every so often, and all of it in
// time. An event of a key may wait for five minutes on the bus (evictedNakDelay) each time that
// there is no room for it, and those before it as well.
const (
	patience   = 20 * time.Minute
	allSettled = 3 * time.Hour
)

// play is a simulation from its start to its end.
func (sim *simulation) play() {
	sim.publishAll()
	if sim.sc.picks && !sim.sc.crashy() && !sim.sc.transact {
		sim.pickOne()
	}
	for i := range sim.sc.processes {
		sim.startProcess(i)
	}
	if sim.owned != nil {
		sim.owned.plan()
	}
	sim.faults.on = true
	sim.run(sim.sc.faulty)
	sim.faults.end(sim)
	sim.endFaults()
	sim.shutdown()
	sim.checkEnd()
	if sim.sc.expire && !sim.over {
		sim.expire()
	}
}

// endFaults waits until nothing is left to do.
func (sim *simulation) endFaults() {
	least, ended, moved := sim.left(), sim.elapsed, sim.elapsed
	for !sim.quiet() && !sim.over {
		if n := sim.left(); n < least {
			least, moved = n, sim.elapsed
		}
		if sim.elapsed > moved+patience || sim.elapsed > ended+allSettled {
			sim.violate("I10", "not settled %v after the last fault, and nothing of it for %v: %s", sim.elapsed-ended, sim.elapsed-moved, sim.unsettled())
			return
		}
		sim.run(sim.elapsed + time.Second)
		sim.release()
	}
}

// left counts what is not settled: events, and what the bus has of them.
func (sim *simulation) left() int {
	n := sim.publishings
	for _, t := range sim.journal.events {
		if t.expected() && !t.concluded() {
			n++
		}
	}
	info, err := sim.processes[0].cursor.Source().Info(context.Background())
	if err != nil {
		return math.MaxInt // it is made again
	}
	return n + int(info.Pending) + int(info.Unsettled)
}

// quiet: every event is published and settled, and no process holds anything.
func (sim *simulation) quiet() bool {
	for _, proc := range sim.processes {
		if s := proc.machine.Stats(); proc.over || proc.cursorLost || s.InFlight > 0 || s.Retrying > 0 {
			return false
		}
	}
	info, err := sim.processes[0].cursor.Source().Info(context.Background())
	return err == nil && sim.publishings == 0 && info.Pending == 0 && info.Unsettled == 0
}

// unsettled names what is left, for a person.
func (sim *simulation) unsettled() string {
	var text strings.Builder
	for _, t := range sim.journal.events {
		if t.expected() && !t.concluded() {
			fmt.Fprintf(&text, " %s (%s)", t.name, t.script)
		}
	}
	return text.String()
}

// shutdown drains every process.
func (sim *simulation) shutdown() {
	if sim.over {
		return
	}
	sim.faults.stopping = true
	for _, proc := range sim.processes {
		proc.drain()
	}
	sim.run(sim.elapsed + sim.sc.drain + 2*drainGrace)
	for _, proc := range sim.processes {
		switch err := proc.machine.Audit(); {
		case !proc.over:
			sim.violate("I9", "%s did not end", proc.id)
		case err != nil:
			sim.violate("I10", "%s: %v", proc.id, err)
		case proc.machine.Stats().InFlight > 0 || proc.machine.Unmarked() > 0:
			sim.violate("I10", "%s ended with %+v", proc.id, proc.machine.Stats())
		}
	}
}

// checkEnd holds the outcome of every event against what was promised.
func (sim *simulation) checkEnd() {
	if sim.over {
		return
	}
	stored := sim.storedLetters()
	for _, t := range sim.journal.events {
		if n := stored[t]; n != len(t.letters) {
			sim.violate("I11", "%s has %d letters, and %d are stored", t.name, len(t.letters), n)
		}
		sim.checkEvent(t)
	}
}

func (sim *simulation) checkEvent(t *testEvent) {
	letters := len(t.letters)
	switch {
	case t.expected() && len(t.effects) == 0 && letters == 0:
		sim.violate("I1", "%s (%s) is lost", t.name, t.script)
	case t.expected() && !t.concluded():
		sim.violate("I10", "%s (%s) is not concluded", t.name, t.script)
	case sim.sc.transact && t.marked != (len(t.effects) > 0):
		sim.violate("I2", "%s (%s): marked is %v, and it has %d effects", t.name, t.script, t.marked, len(t.effects))
	case sim.sc.marks || t.script == refused || t.forgotten:
	case letters > 1:
		sim.violate("I11", "%s (%s) has %d letters", t.name, t.script, letters)
	case letters == 1 && t.marked:
		sim.violate("I11", "%s (%s) was handled, and has a letter: %s", t.name, t.script, t.letters[0].reason)
	}
}

// storedLetters reads the dead-letter topic, and counts the letter ids of each event. Each letter
// is stored once, also where it was published again when the bus had forgotten its id.
func (sim *simulation) storedLetters() map[*testEvent]int {
	src, err := sim.bus.Subscribe(context.Background(), deadTo, "reader", nil)
	sim.must(err)
	f, ok := src.(interface {
		TryFetch(n int) ([]*bus.Delivery, error)
	})
	if !ok {
		return nil
	}
	ds, err := f.TryFetch(10_000)
	sim.must(err)
	counts, seen := make(map[*testEvent]int), make(map[string]bool)
	for _, d := range ds {
		control, err := d.Event.Control()
		sim.must(err)
		id, t := control.Letter, sim.journal.of(&d.Event)
		if seen[id] {
			sim.violate("letter", "%s (%s) has a letter that is stored twice: %s", t.name, t.script, id)
			continue
		}
		seen[id] = true
		counts[t]++
	}
	return counts
}

// expire lets all marks run out and takes the consumer away: the watermark is all that knows what
// was done. The stream may be put back from a copy at that, under another time of creation, and its
// clock be set.
func (sim *simulation) expire() {
	sim.note("expire", "", "", 0)
	if sim.chance(0.3) {
		sim.stepClock(-sim.between(time.Minute, 10*time.Minute))
	}
	sim.run(sim.elapsed + ttl + time.Minute)
	sim.expired = true
	kept := bus.Position(sim.kept(sim.stream()).Position)
	there := false
	if kept.Sequence > 0 {
		found, err := bus.Exists(context.Background(), sim.bus, []bus.Position{kept})
		sim.must(err)
		there = err == nil && found[0]
	}
	if sim.chance(0.5) {
		copied, err := sim.bus.Snapshot("shop")
		sim.must(err)
		sim.note("bus restored as another", "", "", 0)
		copied.RestoreAs()
	} else {
		sim.must(sim.bus.DeleteGroup(pattern, group))
	}
	ran := make([]int, len(sim.journal.events))
	for i, t := range sim.journal.events {
		ran[i] = len(t.runs)
	}
	sim.startProcess(0)
	sim.run(sim.elapsed + 10*time.Second)
	if sim.processes[0].fromFirst {
		return // the consumer refused, and was told to start at the first event
	}
	for i, t := range sim.journal.events {
		if len(t.runs) > ran[i] && sim.below(t, kept, there) {
			sim.violate("I3", "%s ran again below the watermark %v", t.name, kept)
		}
	}
}

// stream is the present incarnation.
func (sim *simulation) stream() string {
	info, err := sim.bus.Topic(context.Background(), pattern, group, bus.Start{})
	sim.must(err)
	return info.Start.Stream
}

// below reports whether all that is stored of an event lies below a watermark whose event is still
// there, or is covered by it.
func (sim *simulation) below(t *testEvent, mark bus.Position, there bool) bool {
	for _, seq := range t.sequences {
		at, seen := sim.journal.lies[seq]
		at.Stream = mark.Stream // before a restore it had another time of creation
		if !seen || seq > mark.Sequence || !there && !mark.Covers(at) {
			return false
		}
	}
	return true
}
