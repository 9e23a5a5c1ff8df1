package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// deleteTimeout is how long the server may take to delete a consumer.
const deleteTimeout = 5 * time.Second

// injector does what a schedule says. It is for one goroutine.
type injector struct {
	fleet      *fleet
	flights    flights
	server     *testbed.Server // nil: it is not ours
	js         jetstream.JetStream
	targets    []target
	schedule   []Fault // what is still to come
	patience   time.Duration
	injections []*Injection
	restarted  chan error
	restarting *Injection
}

// isDue reports whether the next fault is to begin. A fault waits a little for something to hit.
// One that hits all also waits until the server serves again, however long its restart takes.
func (j *injector) isDue(elapsed time.Duration) bool {
	if len(j.schedule) == 0 || elapsed < j.schedule[0].At {
		return false
	}
	f := &j.schedule[0]
	if f.Victim == everyWorker && j.restarting != nil {
		return false
	}
	return len(j.flights.of(j.fleet.pids(f))) > 0 || elapsed >= f.At+j.patience
}

// beginNext begins the next fault.
func (j *injector) beginNext(ctx context.Context) (*Injection, error) {
	i := &Injection{Fault: j.schedule[0], from: time.Now()}
	j.schedule = j.schedule[1:]
	i.Text, i.pids = i.String(), j.fleet.pids(&i.Fault)
	j.injections = append(j.injections, i)
	if err := j.begin(ctx, i); err != nil {
		return i, fmt.Errorf("%s: %w", i.Text, err)
	}
	if i.Length == 0 {
		i.until = time.Now()
	}
	return i, nil
}

func (j *injector) begin(ctx context.Context, i *Injection) error {
	switch i.Kind {
	case KindKill:
		return j.fleet.killWorker(i.Victim)
	case KindDrain:
		return j.fleet.drainWorker(ctx, i.Victim)
	case KindJoin:
		p, err := j.fleet.joinWorker(i.Victim)
		i.joined = p
		return err
	case KindFreeze:
		if p := j.fleet.slots[i.Victim].process; p != nil {
			i.frozen = append(i.frozen, p)
			return ignoreEnded(p, p.Freeze())
		}
	case KindNATS, KindMongo:
		for _, r := range j.routes(&i.Fault) {
			r.begin(&i.Fault)
		}
	case KindConsumer:
		return j.deleteConsumers(ctx, i)
	case KindRestart:
		j.server.Kill()
	}
	return nil
}

// deleteConsumers deletes the group's consumers. One that is not there is being made again.
func (j *injector) deleteConsumers(ctx context.Context, i *Injection) error {
	within, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	for t := range j.targets {
		err := j.js.DeleteConsumer(within, j.targets[t].stream, j.targets[t].consumer)
		switch {
		case err == nil, errors.Is(err, jetstream.ErrConsumerNotFound):
		case context.Cause(ctx) == nil: // a server that is too slow may still do it
			i.Text += fmt.Sprintf(" (not confirmed: %v)", err)
		default:
			return err
		}
	}
	return nil
}

// ignoreEnded: a process that has ended by itself is found elsewhere.
func ignoreEnded(p *testbed.Process, err error) error {
	select {
	case <-p.Ended():
		return nil
	default:
		return err
	}
}

func (j *injector) routes(f *Fault) (out []*route) {
	for i, s := range j.fleet.slots {
		r := s.nats
		if f.Kind == KindMongo {
			r = s.mongo
		}
		if f.hits(i) {
			out = append(out, r)
		}
	}
	return out
}

// countHits counts what is in flight in the victims, once the journal was read that they had
// written when the fault began.
func (j *injector) countHits(i *Injection) {
	i.waits = j.flights.of(i.pids)
	i.InFlight = len(i.waits)
}

// healDue ends the faults whose time is over.
func (j *injector) healDue(ctx context.Context) error {
	if err := j.takeRestarted(); err != nil {
		return err
	}
	for _, i := range j.injections {
		if i.isOver() || i.ending || time.Since(i.from) < i.Length {
			continue
		}
		if err := j.heal(ctx, i); err != nil {
			return fmt.Errorf("end of %q: %w", i.Text, err)
		}
	}
	return nil
}

func (j *injector) heal(ctx context.Context, i *Injection) error {
	switch i.Kind {
	case KindFreeze:
		// A late fault may have replaced the process meanwhile, which then drains once it thaws.
		for _, p := range i.frozen {
			if err := ignoreEnded(p, p.Thaw()); err != nil {
				return err
			}
		}
	case KindJoin:
		j.fleet.drainProcess(ctx, processEnd{slot: i.Victim, pid: i.joined.PID(), from: i.from, ready: true}, i.joined) // it may not have reached a server at its start
	case KindNATS, KindMongo:
		for _, r := range j.routes(&i.Fault) {
			r.heal()
		}
	case KindRestart:
		i.ending = true
		j.restarting, j.restarted = i, make(chan error, 1)
		go func() { j.restarted <- j.server.Restart(ctx) }()
		return nil
	}
	i.until = time.Now()
	return nil
}

// takeRestarted notes that the server serves again.
func (j *injector) takeRestarted() error {
	if j.restarting == nil {
		return nil
	}
	select {
	case err := <-j.restarted:
		j.restarting.until, j.restarting = time.Now(), nil
		j.measureServer()
		return err
	default:
		return nil
	}
}

// measureServer has the server measured, if it is ours.
func (j *injector) measureServer() {
	if j.server != nil && j.fleet.sampler != nil {
		j.fleet.sampler.Add("NATS", j.server.PID())
	}
}

// close waits for a server that is being started, and returns what came of it.
func (j *injector) close() error {
	if j.restarting == nil {
		return nil
	}
	return <-j.restarted
}

// allOver reports whether every fault was injected, and none goes on.
func (j *injector) allOver() bool {
	if len(j.schedule) > 0 {
		return false
	}
	for _, i := range j.injections {
		if !i.isOver() {
			return false
		}
	}
	return true
}
