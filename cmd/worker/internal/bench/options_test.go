package bench

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/worker"
)

func TestOptionsAreRefusedWithWhatWhereAndWhatToTry(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		`the bus "kafka" is none of ["memory" "nats"]`:                            {Bus: "kafka"},
		"the bus memory goes with the store memory, and the store is kv":          {Bus: BusMemory, Store: testbed.StoreKV},
		"the bus memory needs no NATS server: leave its URL out":                  {Bus: BusMemory, NATS: "nats://localhost"},
		"the baseline is a loop over the client of NATS, and the bus is memory":   {Bus: BusMemory, Baseline: true},
		"processes are 2: the store memory is that of 1 process":                  {Store: testbed.StoreMemory, Processes: 2},
		"Options.Command is empty":                                                {},
		"Options.NATS and Options.Server are empty":                               {Command: []string{"worker"}},
		`the store "redis" is none of`:                                            {NATS: "x", Command: []string{"worker"}, Store: "redis"},
		"the store mongo needs the URI of a MongoDB":                              {NATS: "x", Command: []string{"worker"}, Store: testbed.StoreMongo},
		`the stage "drain" is none of`:                                            {Bus: BusMemory, Stage: "drain"},
		"the stage outbox cannot be measured: a key-value bucket holds no outbox": {NATS: "x", Command: []string{"worker"}, Stage: StageOutbox},
		"events are -1: 1 to 5000000":                                             {Bus: BusMemory, Events: -1},
		"size are 15: 16 to ":                                                     {Bus: BusMemory, Size: 15},
		"the rate is -1 events a second: 0 (as fast as it goes) to 10000000":      {Bus: BusMemory, Rate: -1},
		"the rate is NaN events a second":                                         {Bus: BusMemory, Rate: math.NaN()},
		"the rate is 1e-09 events a second: 110 of them, warm-up included, are":   {Bus: BusMemory, Events: 100, Rate: 1e-9},
		"duplicates are 10 of the events: 0 to 1, such as 0.1":                    {Bus: BusMemory, Duplicates: 10},
		"keys are -1: 0 to ":                                                      {Bus: BusMemory, Keys: -1},
		"processes are 101: 1 to 100":                                             {NATS: "x", Command: []string{"worker"}, Processes: 101},
		"runs are -1: 1 to 1000":                                                  {Bus: BusMemory, Runs: -1},
		"concurrency are -1: 1 to 100000":                                         {Bus: BusMemory, Concurrency: -1},
		"events are 2000000: the store memory has room for 995000":                {Bus: BusMemory, Events: 2_000_000},
	} {
		if err := o.Validate(); err == nil || !errors.Is(err, worker.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := Run(t.Context(), &Options{Stage: "x"}); !errors.Is(err, worker.ErrUsage) {
		t.Errorf("%v", err)
	}
}

func TestEventOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	c := &cell{Events: 5, Seed: 7}
	for _, data := range [][]byte{nil, make([]byte, 15), newEventData(eventStamp{index: 5}, 16), []byte("0123456789abcdef")} {
		if s, err := parseEventData(data, 5); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("%x is %+v (%v)", data, s, err)
		}
	}
	for _, id := range []string{"", "5", c.eventID(5), (&cell{Events: 5, Seed: 8}).eventID(1)} {
		if i, err := c.indexOf(id); err == nil {
			t.Errorf("%q is event %d", id, i)
		}
	}
	want := eventStamp{index: 4, due: 12345}
	if s, err := parseEventData(newEventData(want, 300), 5); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	if i, err := c.indexOf(c.eventID(4)); err != nil || i != 4 || len(c.eventID(4)) != 36 {
		t.Errorf("%d, %v", i, err)
	}
}

func TestWorkNeedsAnAssignment(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "{}", "no JSON\n", `{"name":"a","file":"x"}` + "\n"} {
		if err := Work(t.Context(), strings.NewReader(in), nil, nil); err == nil {
			t.Errorf("%q is an assignment", in)
		}
	}
}
