package consumer

import (
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// What was closed for good never answers again: waiting for it would only hold the process up.

// goneGrace is how long what a closed store or bus leaves possible may take: the other one
// still answers.
const goneGrace = time.Second

// busGone ends the subscription because the bus was closed for good. Runs go on, for they
// can be marked.
func (e *engine) busGone(err error) {
	e.mu.Lock()
	e.busClosed = true
	e.mu.Unlock()
	e.endWith(err)
}

// storeGone ends the subscription because the store was closed for good, and its runs, for nothing
// that they do can be marked.
func (e *engine) storeGone(err error) {
	e.mu.Lock()
	known := e.storeClosed
	e.storeClosed = true
	e.mu.Unlock()
	if known {
		return
	}
	e.o.Logger.Error("the dedupe store was closed for good: ending the subscription", "error", err)
	e.endWith(err)
	e.stepMachine(func(m *protocol.Machine, _ time.Time) { m.CancelRuns(err) })
}

// drainIsHopeless reports whether draining cannot get any further: nothing runs, and what is left needs
// what is gone. It is called with the lock held.
func (e *engine) drainIsHopeless() bool {
	return e.draining && e.machine.Running() == 0 && (e.storeClosed || e.busClosed && e.machine.Unmarked() == 0)
}
