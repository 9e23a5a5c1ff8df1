package consumer

import (
	"slices"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// notePause has it observed who pauses the subscription now. It is called with the lock held, once
// for each change. What changes after the end is not observed.
func (e *engine) notePause() {
	if len(e.observers.pauses) == 0 || e.closed {
		return
	}
	e.pauses = append(e.pauses, slices.Clone(e.pausedBy))
	e.cond[pauseLoop].Signal()
}

// observePauses is the loop that tells observers who pauses the subscription, also what has changed
// right before the end. Whoever pauses it does not wait for them.
func (e *engine) observePauses() {
	for open := true; open; {
		open = e.awaitWork(pauseLoop, func(*protocol.Machine, time.Time) bool { return len(e.pauses) > 0 })
		for _, by := range e.takePauses() {
			e.observers.ObservePause(by)
		}
	}
}

func (e *engine) takePauses() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.pauses
	e.pauses = nil
	return out
}
