package demo

import (
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/worker"
)

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"Options.Command is empty":                     {},
		`the store "redis" is none of`:                 {Store: "redis"},
		"the store mongo needs":                        {Store: testbed.StoreMongo},
		"and the store is kv: choose the store mongo":  {Atomic: true},
		"events are -1: 1 to 5000000":                  {Events: -1},
		"processes are 101: 1 to 100":                  {Processes: 101},
		"kills are 4: 0 to the number of events, 3":    {Events: 3, Kills: 4},
		"kills are -1":                                 {Kills: -1},
		"processes are 2: the store memory is that of": {Store: testbed.StoreMemory, Processes: 2},
		"kills are 1: the store memory forgets":        {Store: testbed.StoreMemory, Kills: 1},
	} {
		if !strings.Contains(want, "Command") {
			o.Command = []string{"worker"}
		}
		if err := o.Validate(); err == nil || !errors.Is(err, worker.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "Options.NATS is empty") {
		t.Errorf("%v", err)
	}
	o := Options{Command: []string{"worker"}, NATS: "x", Store: testbed.StoreMemory}
	if c, err := o.withDefaults(); err != nil || c.Processes != 1 || c.Events != DefaultEvents || c.Kills != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
