package telemetry_test

import (
	"errors"
	"testing"

	"github.com/onceish/onceish/deferral"
)

// Events are counted by what becomes of them, summaries are measured by their events, and a key is
// no label.
func TestDeferredEventsAreCountedByOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Deferral("order.placed", "billing")
	for _, key := range []string{"a", "b"} {
		o.ObserveDeferral(deferral.Observation{Outcome: deferral.OutcomeImmediate, Key: key, Events: 1})
		o.ObserveDeferral(deferral.Observation{Outcome: deferral.OutcomeProcessed, Key: key, Events: 240})
	}
	o.ObserveDeferral(deferral.Observation{Outcome: deferral.OutcomeDeferred, Key: "a", Events: 1})
	o.ObserveDeferral(deferral.Observation{Outcome: deferral.OutcomeError, Err: errors.New("no bus")})
	o.ObserveDeferral(deferral.Observation{Outcome: deferral.OutcomeConfigUpdated})
	r.wants(t, map[string]float64{
		"onceish.deferral" + with("outcome=immediate"):      2,
		"onceish.deferral" + with("outcome=processed"):      480,
		"onceish.deferral" + with("outcome=deferred"):       1,
		"onceish.deferral" + with("outcome=error"):          1,
		"onceish.deferral" + with("outcome=config_updated"): 1,
		"onceish.deferral.summary.events" + own:             2,
	})
}

// Prometheus sees no growth in the first value of a series.
func TestOutcomesOfDeferralAreThereBeforeTheyGrow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Deferral("order.placed", "billing")
	want := make(map[string]float64)
	for _, outcome := range deferral.Outcomes() {
		want["onceish.deferral"+with("outcome="+string(outcome))] = 0
	}
	r.wants(t, want)
}
