package simulation

import (
	"time"

	"github.com/onceish/onceish/bus"
)

// sharing is how the processes of a scenario share the topic. Its zero value: all of them read it.
type sharing struct {
	ttl     time.Duration // of an ownership, unless it is renewed; 0: all processes read the topic
	moves   time.Duration // how often the topic is handed over, about
	outages float64       // how likely the group's store is away, each time that it is looked at
}

// partitioned reports whether one process at a time reads the topic, as a partition.
func (s *scenario) partitioned() bool { return s.sharing.ttl > 0 }

// isPartitioned reports whether a seed plays a partition: one in four does.
func isPartitioned(seed uint64) bool { return seed%4 == 3 }

// partition makes it a scenario in which one process at a time owns the topic. Nothing is restored,
// dropped or deleted behind the group's back there, and the store claims: order over all processes
// is promised for what the bus keeps, with claims. No mark is refused until all others are done: a
// hand-over waits for it.
func (s *scenario) partition(sim *simulation) {
	lease := s.protocol.Lease
	s.sharing = sharing{ttl: sim.between(lease/6, 2*lease), moves: sim.between(2*time.Second, 20*time.Second)}
	if s.faultRate > 0 {
		s.sharing.outages = pick(sim.rand, 0, 0, 0.02, 0.05)
	}
	s.marks, s.protocol.ArrivalsAreAttempts, s.protocol.Owned = false, false, true
	s.expire, s.picks = false, false
	for _, k := range []faultKind{cursorGone, restore, remove, vanishing, clockStep, drop} {
		s.faults[k] = false
	}
}

// ownership is what the store of package group has of a partition: who owns it, until when. It is a
// model: one process is chosen at random, and owns the partition until its row expires, or it has
// freed it.
type ownership struct {
	sim      *simulation
	owner    *process // nil: nobody
	epoch    int      // counts owners
	until    time.Duration
	away     time.Duration // the store does not answer until then
	revoking bool          // the owner was told to hand over
	former   *process      // that read the partition last

	delivered uint64 // by the present cursor
	serials   map[*bus.Delivery]uint64
}

func newOwnership(sim *simulation) *ownership {
	return &ownership{sim: sim, serials: make(map[*bus.Delivery]uint64)}
}

// owns reports whether a process owns the partition, as the store has it.
func (o *ownership) owns(proc *process) bool { return o.owner == proc && o.sim.elapsed < o.until }

// plan gives a partition that nobody owns to somebody, and has it handed over now and then.
func (o *ownership) plan() {
	sim := o.sim
	switch {
	case sim.faults.stopping:
		return
	case o.away > sim.elapsed:
	case sim.faults.on && sim.chance(sim.sc.sharing.outages):
		o.away = sim.elapsed + sim.between(100*time.Millisecond, 2*sim.sc.sharing.ttl)
		sim.note("group away", "", "", int64(o.away))
	case o.owner == nil || sim.elapsed >= o.until:
		o.assign()
	case sim.faults.on && !o.revoking && sim.chance(float64(time.Second)/float64(sim.sc.sharing.moves)):
		o.revoke()
	}
	sim.after(nil, sim.between(50*time.Millisecond, time.Second), o.plan)
}

// assign gives the partition to one of those that stand by. It may be frozen: then its row expires.
func (o *ownership) assign() {
	sim := o.sim
	var standby []*process
	for _, proc := range sim.processes {
		if !proc.over && !proc.draining && proc.tenure == nil {
			standby = append(standby, proc)
		}
	}
	if len(standby) == 0 {
		return
	}
	proc := pick(sim.rand, standby...)
	o.epoch++
	o.owner, o.revoking, o.until = proc, false, sim.elapsed+sim.sc.sharing.ttl
	sim.note("assign", proc.id, "", int64(o.epoch))
	epoch := o.epoch
	sim.after(proc, sim.between(time.Millisecond, 200*time.Millisecond), func() { proc.takePartition(epoch) })
}

// revoke tells the owner to hand the partition over.
func (o *ownership) revoke() {
	proc, epoch := o.owner, o.epoch
	o.revoking = true
	o.sim.note("revoke", proc.id, "", int64(epoch))
	o.sim.after(proc, o.sim.between(time.Millisecond, 200*time.Millisecond), func() {
		if t := proc.tenure; t != nil && t.epoch == epoch {
			proc.handOverPartition()
		}
	})
}

// renew is the moment at which the store renews an owner's row, if it is still that.
func (o *ownership) renew(proc *process, epoch int) bool {
	if !o.owns(proc) || o.epoch != epoch {
		return false
	}
	o.until = o.sim.elapsed + o.sim.sc.sharing.ttl
	return true
}

// free is the moment at which the store notes that an owner is done.
func (o *ownership) free(epoch int) {
	if o.epoch == epoch && o.owner != nil {
		o.sim.note("free", o.owner.id, "", int64(epoch))
		o.owner = nil
	}
}

// countDeliveries numbers what a cursor delivers, as JetStream does.
func (o *ownership) countDeliveries(ds []*bus.Delivery) {
	if o == nil {
		return
	}
	for _, d := range ds {
		o.delivered++
		o.serials[d] = o.delivered
	}
}
