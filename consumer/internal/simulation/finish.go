package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
)

// patience is how long after the faults all must be settled.
const patience = time.Hour

// play is a simulation from its start to its end.
func (w *simulation) play() {
	w.publishAll()
	if w.sc.picks && !w.sc.crashy() && !w.sc.transact {
		w.pickOne()
	}
	for i := range w.sc.workers {
		w.startProcess(i)
	}
	w.faults.on = true
	w.run(w.sc.faulty)
	w.faults.end(w)
	w.endFaults()
	w.shutdown()
	w.checkEnd()
	if w.sc.expire && !w.over {
		w.expire()
	}
}

// endFaults waits until nothing is left to do.
func (w *simulation) endFaults() {
	for end := w.elapsed + patience; !w.quiet(); {
		if w.elapsed > end {
			w.violate("I10", "not settled %v after the last fault: %s", patience, w.unsettled())
			return
		}
		if w.over {
			return
		}
		w.run(w.elapsed + time.Second)
		w.release()
	}
}

// quiet: every event is published and settled, and no process holds anything.
func (w *simulation) quiet() bool {
	for _, l := range w.workers {
		if l.over || l.cursorLost || l.m.Stats().InFlight > 0 {
			return false
		}
	}
	info, err := w.workers[0].cursor.Source().Info(context.Background())
	return err == nil && w.publishings == 0 && info.Pending == 0 && info.Unsettled == 0
}

// unsettled names what is left, for a person.
func (w *simulation) unsettled() string {
	var text strings.Builder
	for _, t := range w.journal.events {
		if t.expected() && !t.concluded() {
			fmt.Fprintf(&text, " %s (%s)", t.name, t.script)
		}
	}
	return text.String()
}

// shutdown drains every process.
func (w *simulation) shutdown() {
	if w.over {
		return
	}
	w.faults.stopping = true
	for _, l := range w.workers {
		l.drain()
	}
	w.run(w.elapsed + w.sc.drain + 2*drainGrace)
	for _, l := range w.workers {
		switch err := l.m.Audit(); {
		case !l.over:
			w.violate("I9", "%s did not end", l.id)
		case err != nil:
			w.violate("I10", "%s: %v", l.id, err)
		case l.m.Stats().InFlight > 0 || l.m.Unmarked() > 0:
			w.violate("I10", "%s ended with %+v", l.id, l.m.Stats())
		}
	}
}

// checkEnd holds the outcome of every thing against what was promised.
func (w *simulation) checkEnd() {
	if w.over {
		return
	}
	stored := w.storedLetters()
	for _, t := range w.journal.events {
		if n := stored[t]; n != len(t.letters) {
			w.violate("I11", "%s has %d letters, and %d are stored", t.name, len(t.letters), n)
		}
		w.checkEvent(t)
	}
}

func (w *simulation) checkEvent(t *testEvent) {
	letters := len(t.letters)
	switch {
	case t.expected() && len(t.effects) == 0 && letters == 0:
		w.violate("I1", "%s (%s) is lost", t.name, t.script)
	case t.expected() && !t.concluded():
		w.violate("I10", "%s (%s) is not concluded", t.name, t.script)
	case w.sc.transact && t.marked != (len(t.effects) > 0):
		w.violate("I2", "%s (%s): marked is %v, and it has %d effects", t.name, t.script, t.marked, len(t.effects))
	case w.sc.marks || t.script == refused || t.forgotten:
	case letters > 1:
		w.violate("I11", "%s (%s) has %d letters", t.name, t.script, letters)
	case letters == 1 && t.marked:
		w.violate("I11", "%s (%s) was handled, and has a letter: %s", t.name, t.script, t.letters[0].reason)
	}
}

// storedLetters reads the dead-letter topic, and counts the letter ids of each thing.
func (w *simulation) storedLetters() map[*testEvent]int {
	src, err := w.bus.Subscribe(context.Background(), deadTo, "reader", nil)
	w.must(err)
	f, ok := src.(interface {
		TryFetch(n int) ([]*bus.Delivery, error)
	})
	if !ok {
		return nil
	}
	ds, err := f.TryFetch(10_000)
	w.must(err)
	counts, seen := make(map[*testEvent]int), make(map[string]bool)
	for _, d := range ds {
		control, err := d.Event.Control()
		w.must(err)
		id := control.Letter
		if t := w.journal.of(&d.Event); !seen[id] {
			seen[id] = true
			counts[t]++
		}
	}
	return counts
}

// expire lets all marks run out and takes the consumer away: the watermark is all that knows what
// was done. The stream may be put back from a copy at that, under another time of creation, and its
// clock be set.
func (w *simulation) expire() {
	w.note("expire", "", "", 0)
	if w.chance(0.3) {
		w.stepClock(-w.between(time.Minute, 10*time.Minute))
	}
	w.run(w.elapsed + ttl + time.Minute)
	w.expired = true
	kept := bus.Position(w.kept(w.stream()).Position)
	there := false
	if kept.Sequence > 0 {
		found, err := bus.Exists(context.Background(), w.bus, []bus.Position{kept})
		w.must(err)
		there = err == nil && found[0]
	}
	if w.chance(0.5) {
		copied, err := w.bus.Snapshot("shop")
		w.must(err)
		w.note("bus restored as another", "", "", 0)
		copied.RestoreAs()
	} else {
		w.must(w.bus.DeleteGroup(pattern, group))
	}
	ran := make([]int, len(w.journal.events))
	for i, t := range w.journal.events {
		ran[i] = len(t.runs)
	}
	w.startProcess(0)
	w.run(w.elapsed + 10*time.Second)
	for i, t := range w.journal.events {
		if len(t.runs) > ran[i] && w.below(t, kept, there) {
			w.violate("I3", "%s ran again below the watermark %v", t.name, kept)
		}
	}
}

// stream is the present incarnation.
func (w *simulation) stream() string {
	info, err := w.bus.Topic(context.Background(), pattern, group, bus.Start{})
	w.must(err)
	return info.Start.Stream
}

// below reports whether all that is stored of a thing lies below a watermark whose event is still
// there, or is covered by it.
func (w *simulation) below(t *testEvent, mark bus.Position, there bool) bool {
	for _, seq := range t.sequences {
		at, seen := w.journal.lies[seq]
		at.Stream = mark.Stream // before a restore it had another time of creation
		if !seen || seq > mark.Sequence || !there && !mark.Covers(at) {
			return false
		}
	}
	return true
}
