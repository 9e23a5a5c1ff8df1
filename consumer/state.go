package consumer

import (
	"context"
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
	state := State{Draining: s.isStopped()}
	state.PausedBy, _ = s.engines.paused()
	for _, gate := range s.adaptiveGates() {
		if c, _ := gate.Capacity(); c.Limit >= 0 {
			state.Gates = append(state.Gates, c)
		}
	}
	state.LimitedKey, state.LimitedUntil = s.limit.limitedUntil()
	for _, e := range s.engines.list() {
		since, reason, down := e.unavailable()
		if down && (state.UnavailableSince.IsZero() || since.Before(state.UnavailableSince)) {
			state.UnavailableSince, state.Unavailable = since, reason
		}
	}
	return state
}

func (e *engine) unavailable() (since time.Time, reason string, down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.machine.Unavailable()
}

// adaptiveGates are those Options.Gates whose capacity is to be followed.
func (c *common) adaptiveGates() (gates []flow.AdaptiveGate) {
	for _, g := range c.options.Gates {
		if gate, ok := g.(flow.AdaptiveGate); ok {
			gates = append(gates, gate)
		}
	}
	return gates
}

// applyCapacity tells the Machine how many runs the gates have room for.
func (e *engine) applyCapacity(now time.Time) {
	e.gatesAllow = -1
	for _, gate := range e.adaptiveGates() {
		if c, _ := gate.Capacity(); c.Limit >= 0 && (e.gatesAllow < 0 || c.Limit < e.gatesAllow) {
			e.gatesAllow = c.Limit
		}
	}
	e.setCapacity(now)
}

// setCapacity tells the Machine how many runs there is room for, in the gates and in the slots.
func (e *engine) setCapacity(now time.Time) {
	runs := e.slotShare
	if runs < 0 || e.gatesAllow >= 0 && e.gatesAllow < runs {
		runs = e.gatesAllow
	}
	e.machine.SetCapacity(now, runs)
}

// followCapacity is the loop that does so whenever a gate's capacity changes.
func (c *common) followCapacity(end context.Context, index int, gate flow.AdaptiveGate) {
	var observed flow.Capacity
	for first := true; ; first = false {
		capacity, changed := gate.Capacity()
		c.engines.step(func(e *engine, _ *protocol.Machine, now time.Time) { e.applyCapacity(now) })
		if first || capacity != observed {
			c.observers.ObserveCapacity(index, capacity)
			observed = capacity
		}
		select {
		case <-changed:
		case <-end.Done():
			return
		}
	}
}
