package chaos

import (
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// Injection is a fault that has happened.
type Injection struct {
	Fault

	// Text says what was done, for people.
	Text string `json:"text"`
	// Began and Ended are seconds since the first event.
	Began float64 `json:"began"`
	Ended float64 `json:"ended"`
	// InFlight is how many events were in flight in the victims when it began: running, or with an
	// effect that was not marked.
	InFlight int `json:"in_flight"`
	// Recovered is how many seconds after its end the group made an effect again; negative: it made
	// none.
	Recovered float64 `json:"recovered"`
	// Settled is how many seconds after it began the last event was done that was in flight then;
	// negative: one never was; 0: there was none.
	Settled float64 `json:"settled"`

	from, until, recovered, settled time.Time
	waits                           map[string]bool // events that were in flight, and are not done
	pids                            []int
	frozen                          []*testbed.Process // that are to go on when it is over
	joined                          *testbed.Process   // that is to drain when it is over
	ending                          bool
}

// isOver reports whether the fault has been healed.
func (i *Injection) isOver() bool { return !i.until.IsZero() }

// overlaps reports whether the fault and its aftermath, in which connections come back, lie in a
// time.
func (i *Injection) overlaps(from, to time.Time, aftermath time.Duration) bool {
	return !i.from.After(to) && (!i.isOver() || !i.until.Add(aftermath).Before(from))
}

// noteEffect: the group makes effects.
func (i *Injection) noteEffect(at time.Time) {
	if i.isOver() && i.recovered.IsZero() && !at.Before(i.until) {
		i.recovered = at
	}
}

// noteDone: an event is done.
func (i *Injection) noteDone(id string, at time.Time) {
	if !i.waits[id] {
		return
	}
	if delete(i.waits, id); len(i.waits) == 0 {
		i.settled = at
	}
}

// summarize fills in what is told.
func (i *Injection) summarize(begun time.Time) {
	i.Began, i.Ended = i.from.Sub(begun).Seconds(), i.until.Sub(begun).Seconds()
	i.Recovered, i.Settled = -1, -1
	if !i.recovered.IsZero() {
		i.Recovered = i.recovered.Sub(i.until).Seconds()
	}
	switch {
	case i.InFlight == 0:
		i.Settled = 0
	case !i.settled.IsZero():
		i.Settled = i.settled.Sub(i.from).Seconds()
	}
}
