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
func (w *simulation) drawFate(trouble float64) callFate {
	apply := w.between(100*time.Microsecond, 5*time.Millisecond)
	f := callFate{apply: apply, answer: apply + w.between(100*time.Microsecond, 5*time.Millisecond), applied: true}
	if !w.faults.on || !w.chance(trouble) {
		return f
	}
	f.trouble = true
	switch w.rand.IntN(6) {
	case 0: // lost, or refused
		f.applied, f.failed, f.answer = false, true, w.between(time.Millisecond, timeout)
	case 1: // applied, and its answer lost
		f.failed, f.answer = true, w.between(f.apply, timeout)
	case 2: // applied after the caller gave up
		f.failed, f.answer = true, w.between(time.Millisecond, timeout)
		f.apply = f.answer + w.between(time.Millisecond, 2*timeout)
	case 3: // answered late
		f.answer += w.between(time.Second, 2*w.sc.protocol.Lease)
	case 4: // applied late
		f.apply += w.between(time.Second, w.sc.protocol.Lease)
		f.answer += f.apply
	case 5: // a hiccup
		f.apply += w.between(5*time.Millisecond, time.Second)
		f.answer = f.apply + w.between(time.Millisecond, time.Second)
	}
	return f
}

// call asks the store for something: apply is when the store does it, answer when the caller
// learns of it.
func (l *process) call(f callFate, apply func(), answer func(error)) {
	w := l.sim
	if f.trouble {
		l.noteTrouble(max(f.apply, f.answer))
	}
	failed := f.failed
	if f.applied {
		w.after(nil, f.apply, func() {
			switch {
			case l.over && w.chance(0.3): // cut off with its process
			case l.cutOff > w.elapsed:
				failed = true
			case w.faults.storeDown > w.elapsed:
				l.noteTrouble(timeout)
				if failed = true; w.chance(w.faults.storeHears) {
					apply()
				}
			default:
				apply()
			}
		})
	}
	w.after(l, f.answer, func() {
		var err error
		if failed {
			err = errLost
		}
		answer(err)
		l.planTurn()
	})
}

// storeFate is that of a call to the store as it is now.
func (l *process) storeFate() callFate {
	w := l.sim
	f := w.drawFate(w.sc.callTrouble)
	if w.faults.storeSlow > w.elapsed {
		f.trouble = true
		d := w.between(0, w.sc.protocol.Lease/2)
		f.apply += d
		f.answer += d + w.between(0, w.sc.protocol.Lease/2)
	}
	return f
}

// send has a message reach the bus, or not.
func (l *process) send(apply func()) {
	w := l.sim
	f, at := w.drawFate(w.sc.busTrouble), w.faults.busEpoch
	if !f.applied {
		return
	}
	w.after(nil, f.apply, func() {
		if at == w.faults.busEpoch || w.chance(0.3) {
			apply()
		}
	})
}

// span is a time in which something was wrong.
type span struct{ from, to time.Duration }

func (s span) covers(at time.Duration) bool { return s.from <= at && at < s.to }

// noteTrouble notes that something is wrong for a while, as an excuse for what comes of it.
func (l *process) noteTrouble(d time.Duration) {
	l.troubles = append(l.troubles, span{l.sim.elapsed, l.sim.elapsed + d})
}

// troubled reports whether something was wrong with a life at some time between.
func (l *process) troubled(from, to time.Duration) bool {
	for _, s := range l.troubles {
		if s.from <= to && s.to >= from {
			return true
		}
	}
	return false
}
