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

// process is a process from its start to its end, and drives a Machine as the consumer's runtime
// does. A worker that crashed or drained lives again, under another name.
type process struct {
	sim    *simulation
	worker int
	id     string
	clock  clock
	m      *protocol.Machine
	cursor *cursor.Cursor
	src    *membus.Source // the cursor's

	over       bool
	ticked     time.Time     // by its own clock
	thaw       time.Duration // frozen until then
	cutOff     time.Duration // from the store, until then
	paused     bool
	draining   bool
	barred     bool // a mutation's pause
	cursorLost bool
	troubles   []span

	turning                       bool // a turn is planned
	fetching                      bool
	claiming, settling, extending int

	asked  map[string]bool // claims that were asked for, by nonce, and are not answered
	holds  map[string]int  // claims in hand and their crashes
	gates  map[*protocol.Job]*gate
	runs   map[*protocol.Job]*run
	knows  map[dedupe.Key]*run          // successes
	noRoom map[dedupe.Key]time.Duration // marks that are refused for want of room, and since when
	order  order
	outbox []protocol.Answer
	// latest delivery of each key, for mutations.
	latest  map[dedupe.Key]*bus.Delivery
	rebuilt time.Duration  // when it last made the cursor again
	acked   []bus.Position // since then
}

// gate is where a job waits before it runs.
type gate struct{ passed bool }

// startProcess starts a worker's next life.
func (w *simulation) startProcess(worker int) {
	w.started++
	l := &process{
		sim: w, worker: worker, id: fmt.Sprintf("w%d.%d", worker, w.started),
		clock: clock{sim: w, skew: w.skews[worker], drift: w.sc.drift * int64(worker%3-1)},
		asked: make(map[string]bool), holds: make(map[string]int), gates: make(map[*protocol.Job]*gate),
		runs: make(map[*protocol.Job]*run), knows: make(map[dedupe.Key]*run), noRoom: make(map[dedupe.Key]time.Duration), order: newOrder(),
		latest: make(map[dedupe.Key]*bus.Delivery),
	}
	if worker < len(w.workers) {
		w.workers[worker] = l
	} else {
		w.workers = append(w.workers, l)
	}
	w.note("start", l.id, "", 0)
	if left := w.faults.storePicky - w.elapsed; left > 0 {
		l.noteTrouble(left + timeout)
	}
	cfg := w.sc.protocol
	cfg.Owner = l.id + ":"
	cfg.Rand = w.rand.Float64
	cfg.Watermark = l.openCursor()
	if w.mut.config != nil {
		w.mut.config(&cfg)
	}
	l.m, l.ticked = protocol.New(cfg, l.now()), l.now()
	w.after(l, l.m.TickEvery(), l.tick)
	w.after(l, w.between(500*time.Millisecond, 10*time.Second), l.advanceLater)
	if w.sc.faults[freeze] && w.chance(0.1) {
		w.after(l, w.between(0, 2*time.Second), l.freezeYoung)
	}
	l.planTurn()
}

func (l *process) now() time.Time { return l.clock.now() }

func (l *process) tick() {
	now := l.now()
	for l.sim.mut.catchUpTicks && now.Sub(l.ticked) > l.m.TickEvery() {
		l.ticked = l.ticked.Add(l.m.TickEvery())
		l.m.Tick(l.ticked)
	}
	l.m.Tick(now)
	l.ticked = now
	l.planTurn()
	l.sim.after(l, l.m.TickEvery(), l.tick)
}

// planTurn plans a turn, if none is planned.
func (l *process) planTurn() {
	l.collect()
	if !l.turning {
		l.turning = true
		l.sim.after(l, l.sim.between(0, 2*time.Millisecond), l.takeTurn)
	}
}

// takeTurn takes one thing that the Machine wants done, whichever comes first, and sets it going.
func (l *process) takeTurn() {
	l.turning = false
	doers := [...]func() bool{l.fetch, l.claim, l.settle, l.extend, l.publishLetters, l.lookUp, l.startJob, l.answer, l.cancel}
	first := l.sim.rand.IntN(len(doers))
	for i := range doers {
		if doers[(first+i)%len(doers)]() {
			l.audit()
			l.planTurn()
			return
		}
	}
	if l.draining && l.m.Drained() && len(l.outbox) == 0 {
		l.advanceNow()
		l.checkFloor()
		l.endProcess("drained")
	}
}

// audit has the Machine count what it holds, now and then.
func (l *process) audit() {
	if l.sim.steps%16 != 0 {
		return
	}
	if err := l.m.Audit(); err != nil {
		l.sim.violate("I10", "%s: %v", l.id, err)
	}
}

// endProcess is the end of a life; the worker lives again a little later.
func (l *process) endProcess(how string) {
	w := l.sim
	w.note(how, l.id, "", 0)
	l.over = true
	l.noteTrouble(0)
	if !w.faults.stopping {
		w.after(nil, w.between(10*time.Millisecond, 10*time.Second), func() { w.startProcess(l.worker) })
	}
}

func (l *process) crash() {
	if !l.over {
		l.endProcess("crash")
	}
}

func (l *process) freeze(d time.Duration) {
	if l.over {
		return
	}
	l.sim.note("freeze", l.id, "", int64(d))
	l.noteTrouble(d)
	l.thaw = l.sim.elapsed + d
}

// freezeYoung freezes a process that has hardly begun.
func (l *process) freezeYoung() {
	if w := l.sim; w.faults.on {
		l.freeze(w.between(w.sc.protocol.Lease/2, 3*w.sc.protocol.Lease))
	}
}

// cutOffStore keeps a process from the store for a while.
func (l *process) cutOffStore(d time.Duration) {
	l.sim.note("cut off", l.id, "", int64(d))
	l.noteTrouble(d + timeout)
	l.cutOff = l.sim.elapsed + d
}

// pause stops a process from running handlers for a while.
func (l *process) pause(d time.Duration) {
	if l.over || l.paused || l.draining || l.thaw > l.sim.elapsed {
		return
	}
	l.sim.note("pause", l.id, "", int64(d))
	l.paused = true
	if l.sim.mut.pauseBeforeClaim {
		l.barred = true
	} else {
		l.m.Pause(l.now())
	}
	l.planTurn()
	l.sim.after(l, d, l.resume)
}

func (l *process) resume() {
	if !l.paused {
		return
	}
	l.sim.note("resume", l.id, "", 0)
	l.paused, l.barred = false, false
	l.m.Resume()
	l.planTurn()
}

// drain ends a process as a rolling update does: what runs is cancelled after a while, and left
// behind a while after that.
func (l *process) drain() {
	if l.over || l.draining || l.thaw > l.sim.elapsed {
		return
	}
	w := l.sim
	w.note("drain", l.id, "", 0)
	l.draining = true
	l.m.Drain(l.now())
	l.planTurn()
	w.after(l, w.sc.drain, func() {
		l.m.CancelRuns(errDrain)
		l.planTurn()
	})
	w.after(l, w.sc.drain+drainGrace, l.overdue)
}

const drainGrace = 5 * time.Second

// overdue is the end of a drain that did not come to one: a violation, unless a handler or the
// store does not answer.
func (l *process) overdue() {
	since := l.sim.elapsed - l.sim.sc.drain - drainGrace
	if !l.troubled(since-timeout, l.sim.elapsed) && !l.deaf() && l.sim.sc.busTrouble == 0 && len(l.noRoom) == 0 {
		l.sim.violate("I9", "%s did not drain: %+v", l.id, l.m.Stats())
	}
	l.endProcess("overdue")
}

// deaf: a handler goes on although it was cancelled.
func (l *process) deaf() bool {
	for _, r := range l.runs {
		if !r.done && r.plan.deaf {
			return true
		}
	}
	return false
}
