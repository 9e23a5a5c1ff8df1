package simulation

import (
	"errors"
	"time"
)

var errLost = errors.New("no answer")

// callFate is what becomes of a call: when it is applied, if it is, and when its caller is
// answered, and how. What failed may have been applied, or be applied long after.
type callFate struct {
	apply, answer time.Duration
	applied       bool
	failed        bool
	trouble       bool
}

const timeout = 5 * time.Second

// drawFate draws one; trouble is how likely it is no usual one.
func (sim *simulation) drawFate(trouble float64) callFate {
	apply := sim.between(100*time.Microsecond, 5*time.Millisecond)
	f := callFate{apply: apply, answer: apply + sim.between(100*time.Microsecond, 5*time.Millisecond), applied: true}
	if !sim.faults.on || !sim.chance(trouble) {
		return f
	}
	f.trouble = true
	switch sim.rand.IntN(6) {
	case 0: // lost, or refused
		f.applied, f.failed, f.answer = false, true, sim.between(time.Millisecond, timeout)
	case 1: // applied, and its answer lost
		f.failed, f.answer = true, sim.between(f.apply, timeout)
	case 2: // applied after the caller gave up
		f.failed, f.answer = true, sim.between(time.Millisecond, timeout)
		f.apply = f.answer + sim.between(time.Millisecond, 2*timeout)
	case 3: // answered late
		f.answer += sim.between(time.Second, 2*sim.sc.protocol.Lease)
	case 4: // applied late
		f.apply += sim.between(time.Second, sim.sc.protocol.Lease)
		f.answer += f.apply
	case 5: // a hiccup
		f.apply += sim.between(5*time.Millisecond, time.Second)
		f.answer = f.apply + sim.between(time.Millisecond, time.Second)
	}
	return f
}

// call asks the store for something: apply is when the store does it, answer when the caller
// learns of it.
func (proc *process) call(f callFate, apply func(), answer func(error)) {
	sim := proc.sim
	if f.trouble {
		proc.noteTrouble(max(f.apply, f.answer))
	}
	failed := f.failed
	if f.applied {
		sim.after(nil, f.apply, func() {
			switch {
			case proc.over && sim.chance(0.3): // cut off with its process
			case proc.cutOffUntil > sim.elapsed:
				failed = true
			case sim.faults.storeDown > sim.elapsed:
				proc.noteTrouble(timeout)
				if failed = true; sim.chance(sim.faults.storeHears) {
					apply()
				}
			default:
				apply()
			}
		})
	}
	sim.after(proc, f.answer, func() {
		var err error
		if failed {
			err = errLost
		}
		answer(err)
		proc.planTurn()
	})
}

// storeFate is that of a call to the store as it is now.
func (proc *process) storeFate() callFate {
	sim := proc.sim
	f := sim.drawFate(sim.sc.callTrouble)
	if sim.faults.storeSlow > sim.elapsed {
		f.trouble = true
		d := sim.between(0, sim.sc.protocol.Lease/2)
		f.apply += d
		f.answer += d + sim.between(0, sim.sc.protocol.Lease/2)
	}
	return f
}

// send has a message reach the bus, or not.
func (proc *process) send(apply func()) {
	sim := proc.sim
	f, at := sim.drawFate(sim.sc.busTrouble), sim.faults.busEpoch
	if !f.applied {
		return
	}
	sim.after(nil, f.apply, func() {
		if at == sim.faults.busEpoch || sim.chance(0.3) {
			apply()
		}
	})
}

// span is a time in which something was wrong.
type span struct{ from, to time.Duration }

func (s span) covers(at time.Duration) bool { return s.from <= at && at < s.to }

// noteTrouble notes that something is wrong for a while, as an excuse for what comes of it.
func (proc *process) noteTrouble(d time.Duration) {
	proc.troubles = append(proc.troubles, span{proc.sim.elapsed, proc.sim.elapsed + d})
}

// hadTrouble reports whether something was wrong with a process at some time between.
func (proc *process) hadTrouble(from, to time.Duration) bool {
	for _, s := range proc.troubles {
		if s.from <= to && s.to >= from {
			return true
		}
	}
	return false
}
