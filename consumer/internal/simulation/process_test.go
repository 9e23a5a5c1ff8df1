package simulation

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// process is a process of the group from its start to its end. It drives a Machine as the
// consumer's runtime does. One that crashed or drained is replaced by another, under another name.
type process struct {
	sim     *simulation
	worker  int
	id      string
	clock   clock
	machine *protocol.Machine
	cursor  *cursor.Cursor
	source  *membus.Source // the cursor's

	over             bool
	ticked           time.Time     // by its own clock
	frozenAt         time.Duration // the last time
	frozenUntil      time.Duration // zero: it is not frozen
	stepsHeldUntil   time.Duration // what was due while it was frozen, also where the faults ended before
	cutOffUntil      time.Duration // from the store
	paused           bool
	draining         bool
	pausedByMutation bool
	capacity         int           // of its gate; negative: no bound
	shutAt           time.Duration // when that was 0 last
	cursorLost       bool
	tenure           *tenure // nil: it stands by, or all processes read the topic
	fromFirst        bool    // the consumer refused to go on in the stream, and an operator started it at the first event
	troubles         []span

	turnPlanned                   bool
	fetching                      bool
	claiming, settling, extending int

	asked      map[string]bool // nonces of claims that are requested and not answered
	heldClaims map[string]int  // their crashes, by nonce
	gates      map[*protocol.Job]*gate
	runs       map[*protocol.Job]*run
	successes  map[dedupe.Key]*run
	noRoom     map[dedupe.Key]time.Duration // marks that are refused for want of room, and since when
	order      orderTracker
	outbox     []protocol.Answer
	// latest is the last delivery of each key, for mutations.
	latest  map[dedupe.Key]*bus.Delivery
	rebuilt time.Duration  // when it last rebuilt the cursor
	acked   []bus.Position // since then
}

// gate is where a job waits before it runs.
type gate struct{ passed bool }

// startProcess starts a process in the place of one that ended.
func (sim *simulation) startProcess(worker int) {
	sim.started++
	proc := &process{
		sim: sim, worker: worker, id: fmt.Sprintf("w%d.%d", worker, sim.started),
		clock: clock{sim: sim, skew: sim.skews[worker], drift: sim.sc.drift * int64(worker%3-1)},
		asked: make(map[string]bool), heldClaims: make(map[string]int), gates: make(map[*protocol.Job]*gate),
		runs: make(map[*protocol.Job]*run), successes: make(map[dedupe.Key]*run), noRoom: make(map[dedupe.Key]time.Duration), order: newOrder(),
		latest: make(map[dedupe.Key]*bus.Delivery), capacity: -1,
	}
	if worker < len(sim.processes) {
		sim.processes[worker] = proc
	} else {
		sim.processes = append(sim.processes, proc)
	}
	sim.note("start", proc.id, "", 0)
	if left := sim.faults.storePicky - sim.elapsed; left > 0 {
		proc.noteTrouble(left + timeout)
	}
	watermark := proc.openCursor()
	if sim.sc.partitioned() {
		proc.machine = proc.newMachine(watermark) // it reads nothing
	} else {
		proc.startMachine(watermark)
	}
	if sim.sc.faults[freeze] && sim.chance(0.1) {
		sim.after(proc, sim.between(0, 2*time.Second), proc.freezeAtStart)
	}
	proc.planTurn()
}

func (proc *process) newMachine(watermark bus.Position) *protocol.Machine {
	sim := proc.sim
	cfg := sim.sc.protocol
	cfg.Owner, cfg.Process = proc.id+":", proc.id
	cfg.Rand = sim.rand.Float64
	cfg.Watermark = watermark
	if sim.mut.config != nil {
		sim.mut.config(&cfg)
	}
	return protocol.New(cfg, proc.now())
}

// startMachine makes a Machine, and starts what drives it beside its turns.
func (proc *process) startMachine(watermark bus.Position) {
	proc.machine, proc.ticked = proc.newMachine(watermark), proc.now()
	if proc.tenure != nil {
		proc.setOwnedUntil()
	}
	proc.sim.after(proc, proc.machine.TickEvery(), proc.tick)
	proc.sim.after(proc, proc.sim.between(500*time.Millisecond, 10*time.Second), proc.advanceLater)
}

func (proc *process) now() time.Time { return proc.clock.now() }

func (proc *process) tick() {
	now := proc.now()
	for proc.sim.mut.catchUpTicks && now.Sub(proc.ticked) > proc.machine.TickEvery() {
		proc.ticked = proc.ticked.Add(proc.machine.TickEvery())
		proc.machine.Tick(proc.ticked)
	}
	proc.machine.Tick(now)
	proc.ticked = now
	proc.planTurn()
	proc.sim.after(proc, proc.machine.TickEvery(), proc.tick)
}

// planTurn schedules a turn, if none is scheduled.
func (proc *process) planTurn() {
	proc.collectAnswers()
	if !proc.turnPlanned {
		proc.turnPlanned = true
		proc.sim.after(proc, proc.sim.between(0, 2*time.Millisecond), proc.takeTurn)
	}
}

// takeTurn takes one kind of work from the Machine, beginning with a random one, and starts it.
func (proc *process) takeTurn() {
	proc.turnPlanned = false
	if proc.sim.sc.partitioned() && !proc.takesTurns() {
		return
	}
	doers := [...]func() bool{proc.fetchEvents, proc.sendClaims, proc.sendSettlements, proc.sendRenewals, proc.publishLetters, proc.lookUp, proc.startJob, proc.sendAnswers, proc.cancelRuns}
	first := proc.sim.rand.IntN(len(doers))
	for i := range doers {
		if doers[(first+i)%len(doers)]() {
			proc.auditMachine()
			proc.planTurn()
			return
		}
	}
	ending := proc.draining || (proc.tenure != nil && proc.tenure.ending)
	if ending && proc.machine.Drained() && len(proc.outbox) == 0 {
		proc.endDrained()
	}
}

// endDrained ends a process that has nothing left to do. One that has lost the partition says
// nothing more of its progress.
func (proc *process) endDrained() {
	if proc.tenure == nil || !proc.tenure.lost {
		proc.advanceNow()
		proc.checkFloor()
	}
	proc.endTenure()
}

// auditMachine audits the Machine now and then.
func (proc *process) auditMachine() {
	if proc.sim.steps%16 != 0 {
		return
	}
	if err := proc.machine.Audit(); err != nil {
		proc.sim.violate("I10", "%s: %v", proc.id, err)
	}
}

// endProcess ends the process. Another one starts a little later.
func (proc *process) endProcess(how string) {
	sim := proc.sim
	sim.note(how, proc.id, "", 0)
	proc.over = true
	proc.noteTrouble(0)
	if !sim.faults.stopping {
		sim.after(nil, sim.between(10*time.Millisecond, 10*time.Second), func() { sim.startProcess(proc.worker) })
	}
}

func (proc *process) crash() {
	if !proc.over {
		proc.endProcess("crash")
	}
}

func (proc *process) freeze(d time.Duration) {
	if proc.over {
		return
	}
	proc.sim.note("freeze", proc.id, "", int64(d))
	proc.noteTrouble(d)
	proc.frozenAt, proc.frozenUntil = proc.sim.elapsed, proc.sim.elapsed+d
	proc.stepsHeldUntil = max(proc.stepsHeldUntil, proc.frozenUntil)
}

// freezeAtStart freezes a process that has hardly begun.
func (proc *process) freezeAtStart() {
	if sim := proc.sim; sim.faults.on {
		proc.freeze(sim.between(sim.sc.protocol.Lease/2, 3*sim.sc.protocol.Lease))
	}
}

// cutOffStore keeps a process from the store for a while.
func (proc *process) cutOffStore(d time.Duration) {
	proc.sim.note("cut off", proc.id, "", int64(d))
	proc.noteTrouble(d + timeout)
	proc.cutOffUntil = proc.sim.elapsed + d
}

// pause stops a process from running handlers for a while.
func (proc *process) pause(d time.Duration) {
	if proc.over || proc.paused || proc.draining || proc.frozenUntil > proc.sim.elapsed {
		return
	}
	proc.sim.note("pause", proc.id, "", int64(d))
	proc.paused = true
	if proc.sim.mut.pauseBeforeClaim {
		proc.pausedByMutation = true
	} else {
		proc.machine.Pause(proc.now())
	}
	proc.planTurn()
	proc.sim.after(proc, d, proc.resume)
}

func (proc *process) resume() {
	if !proc.paused {
		return
	}
	proc.sim.note("resume", proc.id, "", 0)
	proc.paused, proc.pausedByMutation = false, false
	proc.machine.Resume()
	proc.planTurn()
}

// narrow bounds how many runs a process may have at once, for a while. Zero shuts its gate.
func (proc *process) narrow(runs int, d time.Duration) {
	if proc.over || proc.draining || proc.frozenUntil > proc.sim.elapsed {
		return
	}
	proc.sim.note("narrow", proc.id, "", int64(runs))
	if proc.capacity = runs; runs == 0 {
		proc.shutAt = proc.sim.elapsed
	}
	if !proc.sim.mut.gateIgnored {
		proc.machine.SetCapacity(proc.now(), runs)
	}
	proc.planTurn()
	proc.sim.after(proc, d, proc.widen)
}

func (proc *process) widen() {
	if proc.capacity < 0 {
		return
	}
	proc.sim.note("widen", proc.id, "", 0)
	proc.capacity = -1
	proc.machine.SetCapacity(proc.now(), proc.capacity)
	proc.planTurn()
}

// drain ends a process as a rolling update does: what runs is cancelled after a while, and left
// behind a while after that.
func (proc *process) drain() {
	if proc.over || proc.draining || proc.frozenUntil > proc.sim.elapsed {
		return
	}
	sim := proc.sim
	sim.note("drain", proc.id, "", 0)
	proc.draining = true
	if sim.sc.partitioned() && (proc.tenure == nil || !proc.tenure.reading) {
		proc.endTenure()
		return
	}
	proc.machine.Drain(proc.now())
	proc.planTurn()
	sim.after(proc, sim.sc.drain, func() {
		proc.machine.CancelRuns(errDrain)
		proc.planTurn()
	})
	sim.after(proc, sim.sc.drain+drainGrace, proc.drainOverdue)
}

const drainGrace = 5 * time.Second

// drainOverdue ends a process whose drain did not end: a violation, unless a handler or the store
// does not answer.
func (proc *process) drainOverdue() {
	since := proc.sim.elapsed - proc.sim.sc.drain - drainGrace
	if !proc.hadTrouble(since-timeout, proc.sim.elapsed) && !proc.handlerIgnoresCancel() && proc.sim.sc.busTrouble == 0 && len(proc.noRoom) == 0 {
		proc.sim.violate("I9", "%s did not drain: %+v", proc.id, proc.machine.Stats())
	}
	proc.endProcess("overdue")
}

// handlerIgnoresCancel reports whether a handler goes on although it was cancelled.
func (proc *process) handlerIgnoresCancel() bool {
	for _, r := range proc.runs {
		if !r.done && r.plan.deaf {
			return true
		}
	}
	return false
}
