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
	// Gate is the capacity of Options.Gate; nil if that is no flow.AdaptiveGate.
	Gate *flow.Capacity
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
	if gate, ok := e.o.Gate.(flow.AdaptiveGate); ok {
		c, _ := gate.Capacity()
		state.Gate = &c
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

// followCapacity is the loop that tells the Machine how many runs the gate has room for.
func (e *engine) followCapacity() {
	gate, ok := e.o.Gate.(flow.AdaptiveGate)
	if !ok {
		return
	}
	for {
		c, changed := gate.Capacity()
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.SetCapacity(now, c.Limit) })
		select {
		case <-changed:
		case <-e.calls.Done():
			return
		}
	}
}
