package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"github.com/onceish/onceish/flow"
)

// The states of a breaker, the worst last.
const (
	breakerClosed = iota
	breakerHalfOpen
	breakerOpen
)

var breakerNames = []string{breakerClosed: "closed", breakerHalfOpen: "half_open", breakerOpen: "open"}

// breakerStates are the states of the breakers of one subscription, as their capacities say. It is
// safe for concurrent use.
type breakerStates struct {
	labels []*attributes // of each state

	mu     sync.Mutex
	limits map[int]int // by the gate's index, the last limit
	known  map[int]bool
}

func newBreakerStates(own func(...attribute.KeyValue) []attribute.KeyValue) *breakerStates {
	b := &breakerStates{limits: make(map[int]int), known: make(map[int]bool)}
	for _, name := range breakerNames {
		b.labels = append(b.labels, newAttributes(own(keyState.String(name))...))
	}
	return b
}

// note notes the capacity of a gate. One that has had no limit, or was shut, is a breaker; any
// other gate with a capacity always lets some in.
func (b *breakerStates) note(gate int, c flow.Capacity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limits[gate] = c.Limit
	if c.Limit <= 0 {
		b.known[gate] = true
	}
}

// worst is the state of the breaker that holds back most. Not ok: there is no breaker.
func (b *breakerStates) worst() (state int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for gate := range b.known {
		ok = true
		switch limit := b.limits[gate]; {
		case limit == 0:
			state = breakerOpen
		case limit > 0:
			state = max(state, breakerHalfOpen)
		}
	}
	return state, ok
}
