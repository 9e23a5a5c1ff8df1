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
func (f *faults) due(sim *simulation) bool {
	if !f.on || f.fresh {
		f.fresh = false
		return false
	}
	f.fresh = sim.chance(sim.sc.faultRate)
	return f.fresh
}

func (f *faults) inject(sim *simulation) {
	kind := faultKind(sim.rand.IntN(int(faultKinds)))
	if !sim.sc.faults[kind] {
		return
	}
	f.count++
	proc := sim.pickVictim()
	lease := sim.sc.protocol.Lease
	switch kind { //nolint:exhaustive // faultKinds is none
	case crash:
		proc.crash()
	case freeze:
		proc.freeze(sim.between(lease/2, 3*lease))
	case storeAway:
		f.storeDown = sim.elapsed + sim.between(100*time.Millisecond, 2*lease)
		f.storeHears = pick(sim.rand, 0, 0.3, 0.9)
		sim.note("store away", "", "", int64(f.storeDown))
	case storeSlow:
		f.storeSlow = sim.elapsed + sim.between(100*time.Millisecond, lease)
		sim.note("store slow", "", "", int64(f.storeSlow))
	case busRestart:
		f.busEpoch++
		sim.note("bus restart", "", "", 0)
	case cursorGone:
		sim.note("cursor gone", "", "", 0)
		sim.must(sim.bus.DeleteGroup(pattern, group))
	case restore:
		f.restore(sim)
	case remove:
		sim.removeOne()
	case pausing:
		if d := sim.between(100*time.Millisecond, 2*lease); f.count%2 == 0 {
			proc.pause(d)
		} else {
			proc.narrow(f.count%(sim.sc.protocol.Concurrency+1), d)
		}
	case rolling:
		proc.drain()
	case cutOff:
		proc.cutOffStore(sim.between(100*time.Millisecond, 2*lease))
	case vanishing:
		sim.vanishOne()
	case picky:
		f.storePicky = sim.elapsed + sim.between(100*time.Millisecond, 2*lease)
		sim.noteTroubleForAll(f.storePicky - sim.elapsed + timeout)
		sim.note("store picky", "", "", int64(f.storePicky))
	case filling:
		f.storeFull = sim.elapsed + sim.between(100*time.Millisecond, 4*lease)
		sim.note("store full", "", "", int64(f.storeFull))
	case clockStep:
		sim.stepClock(sim.between(-5*time.Minute, 5*time.Minute))
	case drop:
		sim.dropOldest(1 + sim.rand.IntN(4))
	}
}

// pickVictim picks the process that a fault hits: the owner of a partition more often than others.
func (sim *simulation) pickVictim() *process {
	if o := sim.owned; o != nil && o.owner != nil && sim.chance(0.5) {
		return o.owner
	}
	return pick(sim.rand, sim.processes...)
}

func (sim *simulation) noteTroubleForAll(d time.Duration) {
	for _, proc := range sim.processes {
		proc.noteTrouble(d)
	}
}

// restore takes a copy of the stream, or brings back the one that it has.
func (f *faults) restore(sim *simulation) {
	if f.copied == nil {
		s, err := sim.bus.Snapshot("shop")
		sim.must(err)
		f.copied, f.copiedAt = s, sim.elapsed
		f.copiedSeq = maps.Clone(sim.journal.at)
		sim.note("bus copied", "", "", 0)
		return
	}
	sim.note("bus restored", "", "", int64(f.copiedAt))
	if sim.chance(0.5) {
		f.copied.RestoreAs()
	} else {
		f.copied.Restore()
	}
	f.copied, f.restored = nil, true
	if sim.chance(0.4) {
		sim.stepClock(-sim.between(time.Minute, 10*time.Minute)) // it is restored where the clock is behind
	}
	f.busEpoch++
	sim.journal.at = f.copiedSeq
	for _, proc := range sim.processes {
		proc.cursorLost = true
	}
	for _, t := range sim.journal.events {
		t.forgetConfirmed(f.copiedAt)
		if sim.chance(0.7) && !t.expected() {
			sim.publishLater(t, 5*time.Second)
		}
	}
}

// undone: a restore has taken away what was stored there.
func (f *faults) undone(sim *simulation, t *testEvent, seq uint64) bool {
	return f.restored && sim.journal.at[seq] != t
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
func (sim *simulation) removeOne() {
	if len(sim.journal.at) == 0 {
		return
	}
	seq := 1 + sim.rand.Uint64N(uint64(len(sim.journal.at)))
	t := sim.journal.at[seq]
	if t == nil {
		return
	}
	t.lost = true
	sim.note("removed", "", t.name, int64(seq))
	sim.must(sim.bus.Delete("shop", seq))
}

// stepClock sets the clock that the bus reads stored times from.
func (sim *simulation) stepClock(by time.Duration) {
	sim.note("clock step", "", "", int64(by))
	sim.must(sim.bus.StepClock("shop", by))
}

// dropOldest has the stream drop its oldest events, as one at its limit does.
func (sim *simulation) dropOldest(n int) {
	info, err := sim.bus.Topic(context.Background(), pattern, group, bus.Start{})
	if err != nil || info.First.Sequence == 0 {
		return
	}
	for seq := info.First.Sequence; seq <= info.Last.Sequence && n > 0; seq, n = seq+1, n-1 {
		if t := sim.journal.at[seq]; t != nil {
			t.lost = true
			sim.note("dropped", "", t.name, int64(seq))
		}
		sim.must(sim.bus.Delete("shop", seq))
	}
}

// end is when the faults stop: what is frozen goes on, what is away comes back.
func (f *faults) end(sim *simulation) {
	f.on = false
	f.storeDown, f.storeSlow, f.storePicky, f.storeFull = 0, 0, 0, 0
	for _, proc := range sim.processes {
		proc.frozenUntil, proc.cutOffUntil = min(proc.frozenUntil, sim.elapsed), 0
		if proc.paused {
			proc.resume()
		}
		proc.widen()
	}
}

func (sim *simulation) must(err error) {
	if err != nil {
		sim.violate("setup", "%v", err)
	}
}
