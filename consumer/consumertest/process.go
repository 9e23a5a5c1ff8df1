package consumertest

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// errProcessDied is returned by what a dead process waited for, once its effects were read.
var errProcessDied = errors.New("consumertest: the process has crashed")

// process is one process of the group: a subscription that can crash and freeze.
type process struct {
	world        *world
	subscription *consumer.Subscription

	mu       sync.Mutex
	halted   chan struct{} // closed when it goes on; nil: it is not halted
	isDead   bool          // it only goes on to end
	refusals int           // calls that it made after its death
}

// crash halts the process until the effects of the run were read.
func (p *process) crash() { p.halt(p.world.released, true) }

// freeze halts the process until it is thawed.
func (p *process) freeze() { p.halt(make(chan struct{}), false) }

func (p *process) halt(until chan struct{}, isDead bool) {
	p.mu.Lock()
	p.halted, p.isDead = until, isDead
	p.mu.Unlock()
	p.world.halted <- struct{}{}
}

// thaw lets a frozen process go on. It reports whether it was frozen.
func (p *process) thaw() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted == nil || p.isDead {
		return false
	}
	close(p.halted)
	p.halted = nil
	return true
}

func (p *process) isHalted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.halted != nil
}

// pass blocks while the process is halted. It returns errProcessDied if the process is dead.
func (p *process) pass() error {
	p.mu.Lock()
	halted, isDead := p.halted, p.isDead
	p.mu.Unlock()
	if halted == nil {
		return nil
	}
	<-halted
	if isDead {
		return errProcessDied
	}
	return nil
}

// reach is called at each step. It blocks if the process is halted, or crashes or freezes there,
// and returns an error if the step fails, its answer is lost or the process is dead.
func (p *process) reach(s step) error {
	if err := p.pass(); err != nil {
		return err
	}
	switch p.world.noteStep(s) {
	case crash:
		p.crash()
	case freeze:
		p.freeze()
	case loseAnswer:
		return &timeoutError{at: s, wasDone: true}
	case failCall:
		return &timeoutError{at: s}
	default:
	}
	return p.pass()
}

// refuseCall ends the goroutine of a handler that goes on calling although its process is dead.
func (p *process) refuseCall() {
	const patience = 1000
	p.mu.Lock()
	p.refusals++
	n := p.refusals
	p.mu.Unlock()
	if n > patience {
		runtime.Goexit()
	}
}

// start subscribes the process.
func (p *process) start(name string) (err error) {
	w := p.world
	handler := w.newHandler()
	if handler == nil {
		return errors.New("Kit.NewHandler returned nil: return a handler")
	}
	o := w.options
	o.Process = name
	o.Use = append([]consumer.Middleware{p.wrapHandler}, o.Use...)
	o.Observer = consumer.Observers(observer{w}, o.Observer)
	p.subscription, err = consumer.SubscribeExactlyOnce(context.Background(), &processBus{p, w.bus}, w.topic, w.group,
		&processStore{p, w.store}, handler, &o)
	return err
}

// guardCall makes a call to bus or store, unless the process is halted before or after it: then
// nothing was called, or the answer is not seen. A dead process gets the error closed.
func guardCall[T any](p *process, closed error, call func() (T, error)) (T, error) {
	var none T
	if p.pass() != nil {
		return none, closed
	}
	out, err := call()
	if p.pass() != nil {
		return none, closed
	}
	return out, err
}

// guardAct is guardCall for a call that returns no value.
func guardAct(p *process, closed error, call func() error) error {
	_, err := guardCall(p, closed, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// closedFor is what a dead process gets of a step, instead of the error that the step returned: its
// store is closed for good.
func closedFor(err error) error {
	if errors.Is(err, errProcessDied) {
		return dedupe.ErrClosed
	}
	return err
}

// observer notes how deliveries ended.
type observer struct{ world *world }

// Observe implements consumer.Observer.
func (o observer) Observe(seen consumer.Observation) { o.world.noteObservation(seen) }

var _ bus.Finder = (*processBus)(nil)
