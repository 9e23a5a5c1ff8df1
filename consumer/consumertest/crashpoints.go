package consumertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// exploreCrashPoints makes the runs of CrashPoints.
func (k Kit) exploreCrashPoints(t *testing.T, setup func() []bus.Event, handler consumer.Handler, effects func() map[string]int) (*Report, error) {
	t.Helper()
	s, err := k.newScenario(handler)
	switch {
	case err != nil:
		return nil, err
	case setup == nil:
		return nil, errors.New("setup is nil: it makes fresh fakes, and returns the events")
	case effects == nil:
		return nil, errors.New("effects is nil: it returns how often each effect was made")
	}
	r := &Report{}
	points, err := s.exploreFaultless(t, r, setup, effects)
	if err != nil {
		return nil, fmt.Errorf("the run without faults: %w", err)
	}
	for i, at := range points {
		result, err := s.explorePoint(t, r, at, setup, effects)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		r.Points = append(r.Points, result)
		if at.fault == noFault && !result.Once() {
			r.Skipped = len(points) - i - 1
			break
		}
	}
	return r, nil
}

// explorePoint makes the run for one point.
func (s *scenario) explorePoint(t *testing.T, r *Report, at point, setup func() []bus.Event, effects func() map[string]int) (PointResult, error) {
	t.Helper()
	result := PointResult{Point: at.String()}
	err := s.simulate(t, at, setup, func(w *world) (err error) {
		made, err := countEffects(effects)
		if err != nil {
			return err
		}
		result.Effects = compareEffects(r.Expected, made)
		result.Reached = w.wasReached()
		result.Letters, err = w.readLetters()
		return err
	})
	return result, err
}

// exploreFaultless makes the first run. It notes the effects that are expected, and returns the
// points of the other runs.
func (s *scenario) exploreFaultless(t *testing.T, r *Report, setup func() []bus.Event, effects func() map[string]int) (points []point, err error) {
	t.Helper()
	var events []bus.Event
	var first *world
	remember := func() []bus.Event {
		events = setup()
		return events
	}
	err = s.simulate(t, point{}, remember, func(w *world) error {
		first = w
		if r.Expected, err = countEffects(effects); err != nil {
			return err
		}
		letters, err := w.readLetters()
		switch {
		case err != nil:
			return err
		case len(letters) > 0:
			return fmt.Errorf("event %q was dead-lettered: %s: give events that the handler handles", letters[0].Event.ID, letters[0].Reason)
		case len(r.Expected) == 0:
			return errors.New("effects returned none: count what the handler does to the fakes")
		}
		r.Calls = w.calls()
		points = findPoints(w.steps, isOtherOrder(events, reverseKeys(events, orderKeyOf(&s.options))))
		return nil
	})
	if err == nil && first.lateCall != (step{}) {
		err = fmt.Errorf("the call %s ended after the handler had returned: have the handler wait for what it starts, for a crash loses what it does not wait for",
			strings.TrimPrefix(first.lateCall.String(), stepNames[callSucceeded]+" "))
	}
	return points, err
}

// countEffects returns the effects that were made.
func countEffects(effects func() map[string]int) (map[string]int, error) {
	made := maps.Clone(effects())
	for _, effect := range slices.Sorted(maps.Keys(made)) {
		if n := made[effect]; n < 0 {
			return nil, fmt.Errorf("effects returned %d for %q: return how often it was made, 0 or above", n, effect)
		}
	}
	maps.DeleteFunc(made, func(_ string, times int) bool { return times == 0 })
	return made, nil
}

func (w *world) wasReached() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hasFired
}

// calls returns the names of the calls that were made, sorted.
func (w *world) calls() []string {
	names := make(map[string]bool)
	for _, s := range w.steps {
		if s.kind == beforeCall {
			names[s.call] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func isOtherOrder(a, b []bus.Event) bool {
	return !slices.EqualFunc(a, b, func(x, y bus.Event) bool { return x.Topic == y.Topic && x.Identity() == y.Identity() })
}
