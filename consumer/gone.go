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
	e.noBus = true
	e.mu.Unlock()
	e.fail(err)
}

// storeGone ends the subscription because the store was closed for good, and its runs, for nothing
// that they do can be marked.
func (e *engine) storeGone(err error) {
	e.mu.Lock()
	known := e.noStore
	e.noStore = true
	e.mu.Unlock()
	if known {
		return
	}
	e.o.Logger.Error("the dedupe store was closed for good: ending the subscription", "error", err)
	e.fail(err)
	e.step(func(m *protocol.Machine, _ time.Time) { m.CutShort(err) })
}

// hopeless reports whether draining cannot get any further: nothing runs, and what is left needs
// what is gone. It is called with the lock held.
func (e *engine) hopeless() bool {
	return e.draining && e.machine.Running() == 0 && (e.noStore || e.noBus && e.machine.Unmarked() == 0)
}
