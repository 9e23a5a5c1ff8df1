package consumer

import (
	"testing"

	"github.com/onceish/onceish/bus"
)

// What others have taken counts, and what lies below the start does not.
func TestEventsToHandleOfANewGroup(t *testing.T) {
	last := bus.Position{Stream: "s", Sequence: 30}
	for name, c := range map[string]struct {
		state bus.Info
		start bus.Position
		want  uint64
	}{
		"from the first on":            {bus.Info{Pending: 30}, bus.Position{Stream: "s"}, 30},
		"with a second process":        {bus.Info{Pending: 14, Unsettled: 16}, bus.Position{Stream: "s"}, 30},
		"from the end on":              {bus.Info{Pending: 30}, last, 0},
		"from the middle on":           {bus.Info{Pending: 30}, bus.Position{Stream: "s", Sequence: 20}, 10},
		"of a part of the stream":      {bus.Info{Pending: 3}, bus.Position{Stream: "s", Sequence: 20}, 3},
		"in a stream that was emptied": {bus.Info{}, bus.Position{Stream: "s", Sequence: 40}, 0},
		"in another stream":            {bus.Info{Pending: 30}, bus.Position{Stream: "other", Sequence: 20}, 30},
	} {
		if n := eventsToHandle(&c.state, c.start, last); n != c.want {
			t.Errorf("%s: %d, want %d", name, n, c.want)
		}
	}
}
