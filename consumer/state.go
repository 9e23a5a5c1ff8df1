package consumer

import (
	"slices"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/flow"
)

// State is what keeps a subscription from starting handlers, or more of them. The zero State is
// that of one that runs freely.
type State struct {
	// PausedBy is who paused it: the names given to PauseBy, "" for Pause.
	PausedBy []string
	// Draining is set once the subscription has begun to end.
	Draining bool
	// Gates are the capacities of those Options.Gates that have a limit now.
	Gates []flow.Capacity
	// LimitedKey is a key of Options.Limit that events wait for, and LimitedUntil is when it is
	// asked for it next. Zero: no event waits for the limit.
	LimitedKey   string
	LimitedUntil time.Time
	// UnavailableSince is since when the receiver is taken to be unavailable, and Unavailable is
	// what the last probe failed with. Zero: it is not.
	UnavailableSince time.Time
	Unavailable      string
}

// State returns what holds starts back now.
func (s *Subscription) State() State {
	e := s.engine
	var state State
	for _, gate := range e.adaptiveGates() {
		if c, _ := gate.Capacity(); c.Limit >= 0 {
			state.Gates = append(state.Gates, c)
		}
	}
	state.LimitedKey, state.LimitedUntil = e.limit.limitedUntil()
	e.mu.Lock()
	defer e.mu.Unlock()
	state.PausedBy, state.Draining = slices.Clone(e.pausedBy), e.draining
	if since, reason, down := e.machine.Unavailable(); down {
		state.UnavailableSince, state.Unavailable = since, reason
	}
	return state
}

// adaptiveGates are those Options.Gates whose capacity is to be followed.
func (e *engine) adaptiveGates() (gates []flow.AdaptiveGate) {
	for _, g := range e.o.Gates {
		if gate, ok := g.(flow.AdaptiveGate); ok {
			gates = append(gates, gate)
		}
	}
	return gates
}

// applyCapacity tells the Machine how many runs the gates have room for.
func (e *engine) applyCapacity(now time.Time) {
	runs := -1
	for _, gate := range e.adaptiveGates() {
		if c, _ := gate.Capacity(); c.Limit >= 0 && (runs < 0 || c.Limit < runs) {
			runs = c.Limit
		}
	}
	e.machine.SetCapacity(now, runs)
}

// followCapacity is the loop that does so whenever a gate's capacity changes.
func (e *engine) followCapacity(index int, gate flow.AdaptiveGate) {
	var observed flow.Capacity
	for first := true; ; first = false {
		c, changed := gate.Capacity()
		e.stepMachine(func(_ *protocol.Machine, now time.Time) { e.applyCapacity(now) })
		if first || c != observed {
			e.observers.ObserveCapacity(index, c)
			observed = c
		}
		select {
		case <-changed:
		case <-e.calls.Done():
			return
		}
	}
}
