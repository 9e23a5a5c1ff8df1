package simulation

import (
	"flag"
	"os"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "play this seed alone, with a trace")

const seeds = 5000

func TestPromises(t *testing.T) {
	if *seedFlag != 0 {
		report(t, *seedFlag, Run(*seedFlag, &Options{Trace: os.Stdout}))
		return
	}
	n := seeds
	if testing.Short() {
		n = 300
	}
	failed := 0
	var sum Result
	for seed := uint64(1); seed <= uint64(n) && failed < 5; seed++ {
		r := Run(seed, nil)
		sum.Effects += r.Effects
		sum.Steps += r.Steps
		sum.Repeats += r.Repeats
		sum.Letters += r.Letters
		sum.Faults += r.Faults
		if len(r.Violations) > 0 {
			failed++
			report(t, seed, r)
		}
	}
	t.Logf("%+v", sum)
}

func report(t *testing.T, seed uint64, r Result) {
	t.Helper()
	for i, v := range r.Violations {
		if i < 3 {
			t.Errorf("seed %d: %v", seed, v)
		}
	}
}
