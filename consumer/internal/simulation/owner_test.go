package simulation

import (
	"context"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// tenure is a process's time as the owner of the partition, as far as it knows.
type tenure struct {
	epoch   int
	until   time.Time     // by its own clock; zero: it has not confirmed that it is the owner
	granted time.Duration // until when its row was valid when it was last renewed there
	reading bool          // its Machine has begun
	serial  uint64        // of the last delivery that it took in
	rewound bool          // and nothing was taken in since
	ending  bool          // it hands over, or has lost the partition
	lost    bool

	requested map[string]bool // nonces of claims
}

// takePartition is where a process learns that it is to own the partition. It confirms that before
// it begins, for it may have been frozen since.
func (proc *process) takePartition(epoch int) {
	if proc.draining {
		return
	}
	proc.tenure = &tenure{epoch: epoch, requested: make(map[string]bool)}
	proc.renewOwnership(epoch)
}

// renewOwnership renews the process's row, and goes on doing so.
func (proc *process) renewOwnership(epoch int) {
	t, sim := proc.tenure, proc.sim
	sent, ok, f := proc.now(), false, sim.drawFate(sim.sc.callTrouble)
	failed := f.failed
	if f.applied {
		sim.after(nil, f.apply, func() {
			if failed = failed || sim.owned.away > sim.elapsed; failed && !f.failed {
				return
			}
			if ok = sim.owned.renew(proc, epoch); ok {
				t.granted = sim.owned.until
			}
		})
	}
	sim.after(proc, f.answer, func() {
		next := sim.sc.sharing.ttl / 3
		switch {
		case t.lost:
			return
		case failed:
			next /= 4
		case !ok:
			proc.losePartition()
			return
		default:
			proc.ownUntil(sent.Add(sim.sc.sharing.ttl - sim.sc.sharing.ttl/100))
		}
		sim.after(proc, next, func() {
			if !t.lost {
				proc.renewOwnership(epoch)
			}
		})
	})
}

// ownUntil notes until when the ownership is certain, and begins to read once it is.
func (proc *process) ownUntil(until time.Time) {
	t, sim := proc.tenure, proc.sim
	t.until = until
	proc.setOwnedUntil()
	if !t.reading {
		proc.readPartition()
	}
	sim.after(proc, until.Sub(proc.now()), func() {
		sim.after(proc, sim.between(0, 100*time.Millisecond), proc.watchOwnership) // who was frozen goes on first
	})
	proc.planTurn()
}

// watchOwnership notices that the ownership is over.
func (proc *process) watchOwnership() {
	if !proc.now().Before(proc.tenure.until) {
		proc.losePartition()
	}
}

func (proc *process) setOwnedUntil() {
	until := proc.tenure.until
	if proc.sim.mut.ownsForEver {
		until = until.Add(time.Hour)
	}
	proc.machine.SetOwnedUntil(until)
}

// takesTurns reports whether a process has anything to do: it does not stand by, and was not frozen
// right now, for about as long as it may own the partition.
func (proc *process) takesTurns() bool {
	t, sim := proc.tenure, proc.sim
	if t == nil || !t.reading {
		return false
	}
	if sim.faults.on && sim.sc.faults[freeze] && sim.chance(0.005) {
		proc.freeze(sim.between(sim.sc.sharing.ttl/2, 2*sim.sc.sharing.ttl))
		proc.planTurn()
		return false
	}
	return true
}

// certain reports whether a process may take itself for the owner.
func (t *tenure) certain(now time.Time) bool { return t != nil && !t.lost && now.Before(t.until) }

// readPartition rewinds the cursor to the lowest unsettled event, and begins to read. What fails is
// retried while the process is the owner.
func (proc *process) readPartition() {
	t, sim := proc.tenure, proc.sim
	if t.reading || t.ending || !t.certain(proc.now()) {
		return
	}
	proc.checkFormer()
	if !sim.mut.neverRewinds {
		sim.rewind()
	}
	opened, err := proc.cursor.Open(context.Background())
	if err != nil {
		sim.after(proc, time.Second, proc.readPartition)
		return
	}
	proc.opened()
	t.reading, t.rewound, t.serial = true, true, sim.owned.delivered
	sim.owned.former = proc
	sim.note("reads", proc.id, "", int64(t.epoch))
	proc.startMachine(opened.Watermark)
	if proc.paused {
		proc.machine.Pause(proc.now())
	}
	proc.machine.SetCapacity(proc.now(), proc.capacity)
}

// rewind takes the group's cursor back, as a bus without that does: it is deleted, and made again
// from the watermark.
func (sim *simulation) rewind() {
	sim.note("rewind", "", "", 0)
	sim.must(sim.bus.DeleteGroup(pattern, group))
}

// takeCounted takes in what was delivered, up to the first gap: a delivery was lost on its way
// here, or handed to a former owner. Then the cursor is rewound.
func (proc *process) takeCounted(ds []*bus.Delivery) []*bus.Delivery {
	t, o := proc.tenure, proc.sim.owned
	if t == nil || t.lost {
		return ds
	}
	for i, d := range ds {
		if o.serials[d] != t.serial+1 && !proc.sim.mut.gapsIgnored {
			proc.rewindGap()
			return ds[:i]
		}
		if t.serial = o.serials[d]; t.rewound {
			t.rewound = false
			proc.checkFirst(d)
		}
	}
	return ds
}

// rewindGap has everything that is not settled delivered once more.
func (proc *process) rewindGap() {
	if proc.tenure.certain(proc.now()) {
		proc.sim.rewind()
		proc.rebuild()
		proc.tenure.rewound, proc.tenure.serial = true, proc.sim.owned.delivered
	}
}

// mayRebuild reports whether the group's cursor is this process's to make again.
func (proc *process) mayRebuild() bool {
	return !proc.sim.sc.partitioned() || proc.tenure.certain(proc.now())
}

// handOverPartition has the process finish what it has begun, for another one to go on.
func (proc *process) handOverPartition() {
	t, sim := proc.tenure, proc.sim
	if t.ending {
		return
	}
	t.ending = true
	sim.note("hand over", proc.id, "", int64(t.epoch))
	if sim.mut.freesFirst {
		sim.owned.free(t.epoch)
	}
	if !t.reading {
		proc.freePartition()
		proc.endProcess("handed over")
		return
	}
	proc.machine.Drain(proc.now())
	sim.after(proc, sim.sc.drain, func() {
		proc.machine.CancelRuns(errDrain)
		proc.planTurn()
	})
	proc.planTurn()
}

// losePartition is where a process notices that the partition is, or may be, another's.
func (proc *process) losePartition() {
	t, sim := proc.tenure, proc.sim
	if t.lost {
		return
	}
	t.ending, t.lost = true, true
	sim.note("loses", proc.id, "", int64(t.epoch))
	proc.noteTrouble(0)
	if !t.reading {
		proc.endProcess("lost")
		return
	}
	if sim.mut.answersAsLost {
		proc.machine.Drain(proc.now())
		proc.machine.CancelRuns(protocol.ErrPartitionLost)
		proc.planTurn()
		return
	}
	proc.collectAnswers()
	proc.machine.Lose(proc.now(), protocol.ErrPartitionLost)
	for i := range proc.outbox {
		proc.outbox[i].Kind = protocol.None // as the Machine does with what it still has
	}
	proc.planTurn()
	sim.after(proc, time.Second, proc.checkCancelled)
}

// freePartition tells the store that the next process may own the partition. It may come late, or
// never: then the row expires.
func (proc *process) freePartition() {
	t, sim := proc.tenure, proc.sim
	if t == nil || t.lost {
		return
	}
	f := sim.drawFate(sim.sc.callTrouble)
	if f.applied {
		sim.after(nil, f.apply, func() {
			if sim.owned.away <= sim.elapsed {
				sim.owned.free(t.epoch)
			}
		})
	}
}

// endTenure ends a process that has drained, and gives its partition up.
func (proc *process) endTenure() {
	how := "drained"
	switch t := proc.tenure; {
	case t == nil:
	case t.lost:
		how = "lost"
	default:
		if t.ending {
			how = "handed over"
		}
		proc.freePartition()
	}
	proc.endProcess(how)
}
