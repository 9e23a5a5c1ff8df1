package simulation

import (
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// script is what an event does to the handler that gets it.
type script string

const (
	fine      script = "fine"
	flaky     script = "flaky"   // fails some times
	failing   script = "failing" // always
	permanent script = "permanent"
	unheard   script = "unheard"   // never gets an answer, whatever others get
	forbidden script = "forbidden" // is always refused, in a way that all others may be refused too
	snoozing  script = "snoozing"  // some times
	slow      script = "slow"      // longer than a lease
	stuck     script = "stuck"     // once beyond the run limit, whatever its context says
	poison    script = "poison"    // ends the process
	malformed script = "malformed"
	refused   script = "refused" // by the store, as a key
)

func drawScript(sim *simulation) script {
	switch n := sim.rand.IntN(100); {
	case n < 45:
		return fine
	case n < 48:
		return unheard
	case n < 50:
		return forbidden
	case n < 65:
		return flaky
	case n < 69:
		return failing
	case n < 73:
		return permanent
	case n < 80:
		return snoozing
	case n < 86:
		return slow
	case n < 90:
		return stuck
	case n < 94 && !sim.sc.marks: // seen/mark does not recognise it
		return poison
	case n < 97:
		return malformed
	}
	return refused
}

// plan is what one run is going to do.
type plan struct {
	takes    time.Duration
	effect   time.Duration // when it is made; negative: never
	verdict  protocol.Verdict
	deaf     bool // to its context
	kills    bool // its process, instead of returning
	detached bool // its effect is under way already: it comes even if the process dies or freezes
	outage   bool // it did not reach the receiver, which nobody did
}

// next plans the run of an event that had so many before.
func (t *testEvent) next(sim *simulation, runs int) plan {
	p := plan{takes: sim.between(time.Millisecond, 2*time.Second), deaf: sim.chance(0.2), detached: sim.chance(0.1)}
	cfg := &sim.sc.protocol
	switch {
	case t.script == poison:
		p.kills = true
	case t.script == unheard:
		p.verdict = unavailable(protocol.Failure)
	case t.script == forbidden:
		p.verdict = unavailable(protocol.Permanent)
	case sim.sc.outage.covers(sim.elapsed):
		p.verdict, p.outage = unavailable(pick(sim.rand, protocol.Failure, protocol.Permanent)), true
	case sim.sc.throttling.covers(sim.elapsed):
		p.verdict = throttled(sim)
	case t.script == flaky && runs < t.times, t.script == failing:
		p.verdict = failure(sim)
	case t.script == permanent:
		p.verdict = protocol.Verdict{Kind: protocol.Permanent, Error: "never"}
	case t.script == snoozing && runs < t.times:
		p.verdict = protocol.Verdict{Kind: protocol.Snooze, Timed: true, After: sim.between(0, 10*time.Second)}
	case t.script == slow:
		p.takes = sim.between(min(cfg.Lease, cfg.RunLimit)/2, cfg.RunLimit)
	case t.script == stuck && runs < t.times:
		p.takes, p.deaf = sim.between(cfg.RunLimit, 3*cfg.RunLimit), true
	}
	p.effect = sim.between(0, p.takes)
	if p.kills || (p.verdict.Kind != protocol.Success && sim.chance(0.7)) {
		p.effect = -1
	}
	return p
}

const noAnswer = "no answer"

func unavailable(own protocol.VerdictKind) protocol.Verdict {
	return protocol.Verdict{Kind: protocol.Unavailable, Own: own, Error: noAnswer}
}

func throttled(sim *simulation) protocol.Verdict {
	v := protocol.Verdict{Kind: protocol.Throttled, Error: "slow down"}
	if sim.chance(0.5) {
		v.Timed, v.After = true, sim.between(100*time.Millisecond, 5*time.Second)
	}
	return v
}

func failure(sim *simulation) protocol.Verdict {
	v := protocol.Verdict{Kind: protocol.Failure, Error: "not now"}
	switch sim.rand.IntN(4) {
	case 0:
		v.Timed, v.After = true, sim.between(0, 10*time.Second)
	case 1:
		v.Stack = "panic"
	}
	return v
}
