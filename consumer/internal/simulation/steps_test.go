package simulation

import (
	"fmt"
	"time"
)

// after schedules f at d from now, unless proc has ended by then. If proc is nil, f always happens.
func (sim *simulation) after(proc *process, d time.Duration, f func()) {
	sim.serial++
	sim.queue.push(step{at: sim.elapsed + d, serial: sim.serial, process: proc, do: f})
}

// run plays until the given time, or until done says so.
func (sim *simulation) run(until time.Duration) {
	for len(sim.queue) > 0 && sim.queue[0].at <= until && !sim.over {
		sim.playStep(sim.queue.pop())
	}
	sim.elapsed = max(sim.elapsed, until)
}

func (sim *simulation) playStep(s step) {
	sim.elapsed = max(sim.elapsed, s.at)
	if proc := s.process; proc != nil {
		if proc.over {
			return
		}
		if proc.frozenUntil > sim.elapsed {
			s.at = proc.frozenUntil
			sim.queue.push(s)
			return
		}
	}
	sim.steps++
	if sim.faults.due(sim) {
		sim.faults.inject(sim)
		sim.queue.push(s) // it may have been meant for a process that is no more
		return
	}
	s.do()
}

// violate notes that a promise was broken.
func (sim *simulation) violate(rule, format string, args ...any) {
	v := Violation{Rule: rule, At: sim.elapsed, Text: fmt.Sprintf(format, args...)}
	sim.log.note(sim.elapsed, "VIOLATION", rule, v.Text, 0)
	sim.violations = append(sim.violations, v)
	sim.over = sim.over || len(sim.violations) >= maxViolations
}

func (sim *simulation) note(what, who, about string, n int64) {
	sim.log.note(sim.elapsed, what, who, about, n)
}

func (sim *simulation) chance(p float64) bool { return p > 0 && sim.rand.Float64() < p }

func (sim *simulation) between(low, high time.Duration) time.Duration {
	return between(sim.rand, low, high)
}

func (sim *simulation) result() Result {
	r := Result{Violations: sim.violations, Steps: sim.steps, Trace: sim.log.hash, Faults: sim.faults.count, Took: sim.elapsed}
	if sim.owned != nil {
		r.Owners = sim.owned.epoch
	}
	for _, t := range sim.journal.events {
		r.Effects += len(t.effects)
		r.Repeats += max(0, len(t.effects)-1)
		r.Letters += len(t.letters)
	}
	return r
}
