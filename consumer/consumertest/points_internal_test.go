package consumertest

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// trace is what can be seen of a run of one event whose handler makes one call.
type trace struct {
	begun, called, returned int // of the handler
	crashes                 int // that the store has counted
	duplicates              int // deliveries that were recognised
	acks                    int // that the bus got
	processes               int
}

// TestEachPointIsWhereItSays: a crash a step earlier or later leaves other traces.
func TestEachPointIsWhereItSays(t *testing.T) {
	for _, c := range []struct {
		fault fault
		kind  stepKind
		want  trace
	}{
		{noFault, noStep, trace{begun: 1, called: 1, returned: 1, processes: 1, acks: 1}},
		{crash, beforeClaim, trace{begun: 1, called: 1, returned: 1, processes: 2, acks: 1}},
		{crash, afterClaim, trace{begun: 1, called: 1, returned: 1, processes: 2, acks: 1, crashes: 1}},
		{crash, beforeHandler, trace{begun: 1, called: 1, returned: 1, processes: 2, acks: 1, crashes: 1}},
		{crash, beforeCall, trace{begun: 2, called: 1, returned: 1, processes: 2, acks: 1, crashes: 1}},
		{crash, afterCall, trace{begun: 2, called: 2, returned: 1, processes: 2, acks: 1, crashes: 1}},
		{crash, afterHandler, trace{begun: 2, called: 2, returned: 2, processes: 2, acks: 1, crashes: 1}},
		{crash, beforeMark, trace{begun: 2, called: 2, returned: 2, processes: 2, acks: 1, crashes: 1}},
		{crash, afterMark, trace{begun: 1, called: 1, returned: 1, processes: 2, acks: 1, duplicates: 1}},
		{crash, afterAck, trace{begun: 1, called: 1, returned: 1, processes: 2, acks: 1}},
		{loseAnswer, callSucceeded, trace{begun: 2, called: 2, returned: 2, processes: 1, acks: 1}},
		{failCall, beforeCall, trace{begun: 2, called: 1, returned: 2, processes: 1, acks: 1}},
		{loseAnswer, afterMark, trace{begun: 1, called: 1, returned: 1, processes: 1, acks: 1}},
		{freeze, beforeHandler, trace{begun: 2, called: 2, returned: 2, processes: 2, acks: 1, crashes: 1}},
		{freeze, beforeCall, trace{begun: 2, called: 2, returned: 2, processes: 2, acks: 1, crashes: 1}},
		{redeliver, noStep, trace{begun: 1, called: 1, returned: 1, processes: 1, acks: 1, duplicates: 1}},
		{republish, noStep, trace{begun: 1, called: 1, returned: 1, processes: 1, acks: 2, duplicates: 1}},
	} {
		at := point{fault: c.fault}
		if c.kind != noStep {
			at.at = step{kind: c.kind, event: "1", n: 1}
		}
		if c.kind == beforeCall || c.kind == afterCall || c.kind == callSucceeded {
			at.at.call = "charge"
		}
		t.Run(at.String(), func(t *testing.T) {
			if got := traceRun(t, at); got != c.want {
				t.Errorf("got  %+v,\nwant %+v", got, c.want)
			}
		})
	}
}

func TestRunsAreLimitedToADay(t *testing.T) {
	s, err := Kit{}.newScenario(func(context.Context, bus.Event) error { return nil })
	if err != nil || s.limit != 24*time.Hour {
		t.Errorf("%+v, %v", s, err)
	}
}

func traceRun(t *testing.T, at point) (got trace) {
	t.Helper()
	handler := func(ctx context.Context, _ bus.Event) error {
		got.begun++
		err := Call(ctx, "charge", func(context.Context) error { got.called++; return nil })
		if handlerRunFrom(ctx).process.isHalted() {
			return err // it was called after the run
		}
		got.returned++
		return err
	}
	s, err := Kit{}.newScenario(handler)
	if err != nil {
		t.Fatal(err)
	}
	events := func() []bus.Event { return []bus.Event{{ID: "1", Topic: "order.placed"}} }
	err = s.simulate(t, at, events, func(w *world) error {
		if !w.wasReached() {
			t.Error("the point was not reached")
		}
		got.processes = len(w.processes)
		for _, s := range w.steps {
			if s.kind == afterAck {
				got.acks++
			}
		}
		for _, o := range w.observations {
			for i := range o {
				if o[i].Outcome == consumer.OutcomeDuplicate {
					got.duplicates++
				}
			}
		}
		entries, err := w.store.Inspect(t.Context(), []dedupe.Key{{Topic: "order.placed", Group: s.group, ID: "1"}})
		got.crashes = entries[0].Crashes
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
