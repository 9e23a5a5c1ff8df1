package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/procstat"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// startPause is how long a process that has ended by itself is not started again.
const startPause = 500 * time.Millisecond

// workerSlot is the place of a worker: the process that is there, and how it reaches its servers.
type workerSlot struct {
	assignment  *workAssignment
	nats, mongo *route // nil: it is connected directly

	process *testbed.Process // nil: it has ended by itself, and is not started again yet
	started time.Time
	ready   bool
	again   time.Time // when it is started again
	// saidCutOff: people know that it cannot start.
	saidCutOff bool
}

// processEnd is how a process ended, and whether it had subscribed.
type processEnd struct {
	slot  int
	pid   int
	from  time.Time // when it was started, or told to drain
	at    time.Time
	ready bool
	err   error // nil: it has drained
}

// fleet are the workers. It is for one goroutine.
type fleet struct {
	pool     *testbed.Pool
	slots    []*workerSlot
	slotOf   map[int]int // by process id, also of those that have ended
	kills    []journal.Kill
	drained  chan processEnd
	draining int
	patience time.Duration     // for a process that drains
	sampler  *procstat.Sampler // nil: nothing is measured yet
}

func newFleet(pool *testbed.Pool, slots []*workerSlot, patience time.Duration) *fleet {
	return &fleet{pool: pool, slots: slots, slotOf: make(map[int]int), drained: make(chan processEnd, 1), patience: patience}
}

// startWorker starts the process of a slot.
func (f *fleet) startWorker(slot int) error {
	s := f.slots[slot]
	p, err := f.pool.Start(s.assignment)
	if err != nil {
		return err
	}
	s.process, s.started, s.ready = p, time.Now(), false
	f.slotOf[p.PID()] = slot
	f.measure(slot)
	return nil
}

// measureWith has the processes measured, from now on.
func (f *fleet) measureWith(s *procstat.Sampler) {
	f.sampler = s
	for i := range f.slots {
		f.measure(i)
	}
}

func (f *fleet) measure(slot int) {
	if p := f.slots[slot].process; p != nil && f.sampler != nil {
		f.sampler.Add(fmt.Sprintf("worker %d", slot+1), p.PID())
	}
}

// pids are those of the workers that a fault hits.
func (f *fleet) pids(fault *Fault) (out []int) {
	for i, s := range f.slots {
		if fault.hits(i) && s.process != nil {
			out = append(out, s.process.PID())
		}
	}
	return out
}

// killWorker kills a process, and starts another one in its place.
func (f *fleet) killWorker(slot int) error {
	s := f.slots[slot]
	if s.process != nil {
		f.pool.Remove(s.process)
		f.kills = append(f.kills, s.process.Kill())
	}
	return f.startWorker(slot)
}

// drainWorker lets a process drain, and starts another one in its place meanwhile. How it ended
// comes from takeDrained.
func (f *fleet) drainWorker(ctx context.Context, slot int) error {
	s := f.slots[slot]
	if p := s.process; p != nil {
		f.drainProcess(ctx, processEnd{slot: slot, pid: p.PID(), from: time.Now(), ready: s.ready}, p)
	}
	return f.startWorker(slot)
}

// drainProcess lets a process drain. How it ended comes from takeDrained.
func (f *fleet) drainProcess(ctx context.Context, end processEnd, p *testbed.Process) {
	f.pool.Remove(p)
	f.draining++
	go func() {
		ctx, cancel := context.WithTimeoutCause(ctx, f.patience, errors.New("it does not drain"))
		defer cancel()
		end.err = p.Drain(ctx)
		end.at = time.Now()
		f.drained <- end
	}()
}

// joinWorker starts one process more, which reaches its servers as that of the slot does.
func (f *fleet) joinWorker(slot int) (*testbed.Process, error) {
	assignment := *f.slots[slot].assignment
	assignment.Member = "" // the slot's process has the name
	p, err := f.pool.Start(&assignment)
	if err == nil {
		f.slotOf[p.PID()] = slot
	}
	return p, err
}

// takeDrained returns how a process ended that was told to drain, if one has.
func (f *fleet) takeDrained() (end processEnd, ok bool) {
	select {
	case end = <-f.drained:
		f.draining--
		f.recordEnd(&end)
		return end, true
	default:
		return end, false
	}
}

// recordEnd: a process that has not drained may leave effects unmarked, as one that is killed.
func (f *fleet) recordEnd(end *processEnd) {
	if end.err != nil {
		f.kills = append(f.kills, journal.Kill{PID: end.pid, Sent: end.from, Gone: end.at})
	}
}

// takeEnded returns how a process ended that was not told to, if one has. It is started again a
// little later, as whoever supervises processes does.
func (f *fleet) takeEnded() (end processEnd, ok bool) {
	for i, s := range f.slots {
		if s.process == nil {
			continue
		}
		select {
		case <-s.process.Ended():
		default:
			continue
		}
		err := s.process.CheckEnded()
		if err == nil {
			err = fmt.Errorf("worker process %d has drained without being told to", s.process.PID())
		}
		end = processEnd{slot: i, pid: s.process.PID(), from: s.started, at: time.Now(), ready: s.ready, err: err}
		f.pool.Remove(s.process)
		s.process, s.again = nil, time.Now().Add(startPause)
		f.recordEnd(&end)
		return end, true
	}
	return end, false
}

// restartEnded starts what has ended by itself, when it is time.
func (f *fleet) restartEnded() error {
	for i, s := range f.slots {
		if s.process == nil && !time.Now().Before(s.again) {
			if err := f.startWorker(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteReady notes that a process has subscribed.
func (f *fleet) noteReady(pid int) {
	if s := f.slots[f.slotOf[pid]]; s.process != nil && s.process.PID() == pid {
		s.ready, s.saidCutOff = true, false
	}
}

// describeWorker names the worker of a slot, for people.
func (f *fleet) describeWorker(slot int) string {
	if p := f.slots[slot].process; p != nil {
		return fmt.Sprintf("worker %d (process %d)", slot+1, p.PID())
	}
	return fmt.Sprintf("worker %d, whose process has ended,", slot+1)
}

// allReady reports whether all processes have subscribed.
func (f *fleet) allReady() bool {
	for _, s := range f.slots {
		if !s.ready || s.process == nil {
			return false
		}
	}
	return true
}

// close ends what is left, drains that take their time included.
func (f *fleet) close() {
	for _, s := range f.slots {
		if s.process != nil {
			_ = s.process.Thaw() // it has ended otherwise
		}
	}
	f.pool.KillAll()
	for ; f.draining > 0; f.draining-- {
		<-f.drained
	}
	closeRoutes(f.slots)
}

func closeRoutes(slots []*workerSlot) {
	for _, s := range slots {
		for _, r := range []*route{s.nats, s.mongo} {
			if r != nil {
				r.close()
			}
		}
	}
}
