package simulation

import (
	"context"
	"maps"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

type faultKind int

const (
	crash      faultKind = iota // a process is gone, with all that it knew
	freeze                      // it stands still, and goes on
	storeAway                   // every call to the store fails; some are applied
	storeSlow                   // for a time
	busRestart                  // what is under way to the bus is lost
	cursorGone                  // the group's cursor is deleted
	restore                     // the bus comes back from an older copy
	remove                      // one event is deleted from the stream
	pausing                     // and resuming
	rolling                     // a process drains, and is replaced
	cutOff                      // a process does not reach the store
	vanishing                   // the row of a claim is gone
	picky                       // the store refuses single items for a time
	filling                     // it has no room for new keys for a time
	clockStep                   // stored times step back, or forward
	drop                        // the stream drops its oldest events
	faultKinds
)

// faults is what is wrong at present.
type faults struct {
	on         bool
	count      int
	storeDown  time.Duration // until then
	storeHears float64       // how likely a call is applied all the same
	storeSlow  time.Duration
	storePicky time.Duration
	storeFull  time.Duration
	busEpoch   int
	stopping   bool // who ends does not start again
	fresh      bool // the step under way had its fault
	copied     *membus.Snapshot
	copiedAt   time.Duration
	restored   bool
	copiedSeq  map[uint64]*testEvent
}

// due decides whether a fault comes before the next step.
func (f *faults) due(w *simulation) bool {
	if !f.on || f.fresh {
		f.fresh = false
		return false
	}
	f.fresh = w.chance(w.sc.faultRate)
	return f.fresh
}

func (f *faults) inject(w *simulation) {
	kind := faultKind(w.rand.IntN(int(faultKinds)))
	if !w.sc.faults[kind] {
		return
	}
	f.count++
	l := pick(w.rand, w.workers...)
	lease := w.sc.protocol.Lease
	switch kind { //nolint:exhaustive // faultKinds is none
	case crash:
		l.crash()
	case freeze:
		l.freeze(w.between(lease/2, 3*lease))
	case storeAway:
		f.storeDown = w.elapsed + w.between(100*time.Millisecond, 2*lease)
		f.storeHears = pick(w.rand, 0, 0.3, 0.9)
		w.note("store away", "", "", int64(f.storeDown))
	case storeSlow:
		f.storeSlow = w.elapsed + w.between(100*time.Millisecond, lease)
		w.note("store slow", "", "", int64(f.storeSlow))
	case busRestart:
		f.busEpoch++
		w.note("bus restart", "", "", 0)
	case cursorGone:
		w.note("cursor gone", "", "", 0)
		w.must(w.bus.DeleteGroup(pattern, group))
	case restore:
		f.restore(w)
	case remove:
		w.removeOne()
	case pausing:
		l.pause(w.between(100*time.Millisecond, 2*lease))
	case rolling:
		l.drain()
	case cutOff:
		l.cutOffStore(w.between(100*time.Millisecond, 2*lease))
	case vanishing:
		w.vanishOne()
	case picky:
		f.storePicky = w.elapsed + w.between(100*time.Millisecond, 2*lease)
		w.noteTroubleForAll(f.storePicky - w.elapsed + timeout)
		w.note("store picky", "", "", int64(f.storePicky))
	case filling:
		f.storeFull = w.elapsed + w.between(100*time.Millisecond, 4*lease)
		w.note("store full", "", "", int64(f.storeFull))
	case clockStep:
		w.stepClock(w.between(-5*time.Minute, 5*time.Minute))
	case drop:
		w.dropOldest(1 + w.rand.IntN(4))
	}
}

func (w *simulation) noteTroubleForAll(d time.Duration) {
	for _, l := range w.workers {
		l.noteTrouble(d)
	}
}

// restore takes a copy of the stream, or brings back the one that it has.
func (f *faults) restore(w *simulation) {
	if f.copied == nil {
		s, err := w.bus.Snapshot("shop")
		w.must(err)
		f.copied, f.copiedAt = s, w.elapsed
		f.copiedSeq = maps.Clone(w.journal.at)
		w.note("bus copied", "", "", 0)
		return
	}
	w.note("bus restored", "", "", int64(f.copiedAt))
	if w.chance(0.5) {
		f.copied.RestoreAs()
	} else {
		f.copied.Restore()
	}
	f.copied, f.restored = nil, true
	if w.chance(0.4) {
		w.stepClock(-w.between(time.Minute, 10*time.Minute)) // it is restored where the clock is behind
	}
	f.busEpoch++
	w.journal.at = f.copiedSeq
	for _, l := range w.workers {
		l.cursorLost = true
	}
	for _, t := range w.journal.events {
		t.forgetConfirmed(f.copiedAt)
		if w.chance(0.7) && !t.expected() {
			w.publishLater(t, 5*time.Second)
		}
	}
}

// undone: a restore has taken away what was stored there.
func (f *faults) undone(w *simulation, t *testEvent, seq uint64) bool {
	return f.restored && w.journal.at[seq] != t
}

// forgetConfirmed: what the publisher was told since then is no longer so.
func (t *testEvent) forgetConfirmed(since time.Duration) {
	kept := t.confirmed[:0]
	for _, at := range t.confirmed {
		if at <= since {
			kept = append(kept, at)
		}
	}
	t.confirmed = kept
}

// removeOne deletes an event from the stream, as an operator might.
func (w *simulation) removeOne() {
	if len(w.journal.at) == 0 {
		return
	}
	seq := 1 + w.rand.Uint64N(uint64(len(w.journal.at)))
	t := w.journal.at[seq]
	if t == nil {
		return
	}
	t.lost = true
	w.note("removed", "", t.name, int64(seq))
	w.must(w.bus.Delete("shop", seq))
}

// stepClock sets the clock that the bus reads stored times from.
func (w *simulation) stepClock(by time.Duration) {
	w.note("clock step", "", "", int64(by))
	w.must(w.bus.StepClock("shop", by))
}

// dropOldest has the stream drop its oldest events, as one at its limit does.
func (w *simulation) dropOldest(n int) {
	info, err := w.bus.Topic(context.Background(), pattern, group, bus.Start{})
	if err != nil || info.First.Sequence == 0 {
		return
	}
	for seq := info.First.Sequence; seq <= info.Last.Sequence && n > 0; seq, n = seq+1, n-1 {
		if t := w.journal.at[seq]; t != nil {
			t.lost = true
			w.note("dropped", "", t.name, int64(seq))
		}
		w.must(w.bus.Delete("shop", seq))
	}
}

// end is when the faults stop: what is frozen goes on, what is away comes back.
func (f *faults) end(w *simulation) {
	f.on = false
	f.storeDown, f.storeSlow, f.storePicky, f.storeFull = 0, 0, 0, 0
	for _, l := range w.workers {
		l.thaw, l.cutOff = min(l.thaw, w.elapsed), 0
		if l.paused {
			l.resume()
		}
	}
}

func (w *simulation) must(err error) {
	if err != nil {
		w.violate("setup", "%v", err)
	}
}
