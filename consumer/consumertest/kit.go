package consumertest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Kit has the settings of Run and CrashPoints. The zero Kit means the defaults, and is what the
// functions of the package use. Its methods do not change it.
type Kit struct {
	// Options of the subscriptions. Concurrency is 1 by default: a crash takes every event with it
	// that is in flight. Mode Transactional, Gates and Limit are refused; From and Process have no
	// effect. Middleware, observer and functions are shared by all runs. Default: nil.
	Options *consumer.Options
	// Topic is what the processes subscribe to. Default: the topic of the events, or a pattern of
	// what their topics begin with.
	Topic string
	// Group is the name of the group, from which idempotency keys follow. Default: "consumertest".
	Group string
	// NewHandler makes the handler of each process, for a handler that keeps something in memory,
	// such as a cache: what a process kept is gone when it crashes. The handler that is passed to
	// Run or CrashPoints must then be nil. NewHandler is called within the bubble, after setup,
	// each time that a process starts. Default: nil; all processes have the handler that is passed,
	// and share its memory.
	NewHandler func() consumer.Handler
	// Limit is how long a run may take by the clock of its bubble, which costs little real time. It
	// has to be longer than all backoffs and snoozes of an event together. Default: 24 h.
	Limit time.Duration
}

// Run handles the events with the handler until all of them are settled, in one process and without
// faults, and returns what became of each, in the order of the events. It fails the test if that
// cannot be found out, for example because the handler never ends. Errors of the handler do not
// fail the test: look at the outcomes.
func Run(t *testing.T, handler consumer.Handler, events ...bus.Event) []Outcome {
	t.Helper()
	return Kit{}.Run(t, handler, events...)
}

// CrashPoints shows which effects of a handler repeat, get lost or change when something goes
// wrong. For each run it calls setup, which makes fresh fakes and returns the events, the same ones
// each time. It runs the handler until all events are settled, and then calls effects, which
// returns how often each effect was made, by whatever tells it from others ("charge of order 1", or
// an idempotency key). The first run has no fault: what it makes is what every other run has to
// make, one for each crash point (see the package).
//
// Setup, handler and effects are called within a bubble. CrashPoints fails the test where the runs
// could not be made, or would prove nothing: when the first run makes no effects or dead-letters an
// event. What it found out is in the report, and fails no test by itself.
func CrashPoints(t *testing.T, setup func() []bus.Event, handler consumer.Handler, effects func() map[string]int) *Report {
	t.Helper()
	return Kit{}.CrashPoints(t, setup, handler, effects)
}

// Run is the function Run, with the settings of the kit.
func (k Kit) Run(t *testing.T, handler consumer.Handler, events ...bus.Event) (outcomes []Outcome) {
	t.Helper()
	s, err := k.newScenario(handler)
	if err == nil {
		err = s.simulate(t, point{}, func() []bus.Event { return events }, func(w *world) (err error) {
			outcomes, err = w.readOutcomes(events)
			return err
		})
	}
	if err != nil {
		t.Fatalf("consumertest.Run: %v", err)
	}
	return outcomes
}

// CrashPoints is the function CrashPoints, with the settings of the kit.
func (k Kit) CrashPoints(t *testing.T, setup func() []bus.Event, handler consumer.Handler, effects func() map[string]int) *Report {
	t.Helper()
	r, err := k.exploreCrashPoints(t, setup, handler, effects)
	if err != nil {
		t.Fatalf("consumertest.CrashPoints: %v", err)
	}
	return r
}
