package chaos

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

func drawOptions(t *rapid.T) *Options {
	o := &Options{
		Command: []string{"x"}, Server: []string{"y"}, Store: rapid.SampledFrom([]string{testbed.StoreKV, testbed.StoreMongo}).Draw(t, "store"), Mongo: "mongodb://h",
		Seed: rapid.Uint64().Draw(t, "seed"), Processes: rapid.IntRange(1, 8).Draw(t, "processes"), Rate: 1,
		Lease: time.Duration(rapid.IntRange(int(minLease), int(10*time.Second)).Draw(t, "lease")),
	}
	o.Duration = o.Lease * time.Duration(rapid.IntRange(2, 100).Draw(t, "leases"))
	possible, err := CheckKinds(nil, o.Store, true, false)
	if err != nil {
		t.Fatal(err)
	}
	o.Faults = rapid.SliceOfNDistinct(rapid.SampledFrom(possible), 1, -1, rapid.ID[string]).Draw(t, "faults")
	c, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A seed and options make one schedule, whoever runs it.
func TestScheduleIsAFunctionOfSeedAndOptions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		again := *o
		again.Output, again.Command, again.NATS = nil, []string{"z"}, ""
		if a, b := newSchedule(o), newSchedule(&again); !slices.Equal(a, b) {
			t.Errorf("%v\n%v", a, b)
		}
		if a, b := newPlan(o), newPlan(&again); !slices.Equal(a.messages, b.messages) {
			t.Error("the events differ")
		}
	})
}

// At each moment one worker at least has no fault of its own. Faults that hit all are one at a
// time, and all are over when the time is.
func TestScheduleLeavesTheGroupAWayOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		all := newSchedule(o)
		for i := range all {
			f := &all[i]
			if f.At < 0 || f.end() > o.Duration || !slices.Contains(o.Faults, f.Kind) || f.Victim >= o.Processes || i > 0 && f.At < all[i-1].At {
				t.Fatalf("%+v", f)
			}
			hit, global := map[int]bool{}, 0
			for j := range all {
				if all[j].At > f.At || all[j].end() < f.At {
					continue
				}
				if all[j].Victim == everyWorker {
					global++
				} else {
					hit[all[j].Victim] = true
				}
			}
			if global > 1 || o.Processes > 1 && len(hit) >= o.Processes {
				t.Fatalf("at %v there are %d faults of all, and faults of the workers %v:\n%v", f.At, global, hit, all)
			}
		}
	})
}

// No process is killed, drained or frozen while it is frozen, and no connection is broken twice.
func TestFaultsOfOneVictimDoNotOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		all := newSchedule(o)
		for i := range all {
			for j := range all[:i] {
				a, b := &all[j], &all[i]
				sameLink := a.isNetwork() && a.Kind == b.Kind && (a.hits(b.Victim) || b.hits(a.Victim))
				sameProcess := !a.isNetwork() && !b.isNetwork() && a.Victim == b.Victim
				if (sameLink || sameProcess) && b.At < a.end() {
					t.Fatalf("%+v\n%+v", a, b)
				}
			}
		}
	})
}

// Faults come often enough for each kind to have its turn, for less than a lease and for more.
func TestScheduleHasEveryKindAndLength(t *testing.T) {
	t.Parallel()
	short, long := false, false
	for seed := range uint64(50) {
		o, err := (&Options{Command: []string{"x"}, Server: []string{"y"}, Store: testbed.StoreMongo, Mongo: "mongodb://h", Seed: seed}).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for _, f := range newSchedule(o) {
			kinds[f.Kind]++
			short = short || f.Kind == KindFreeze && f.Length < o.Lease
			long = long || f.Kind == KindFreeze && f.Length > o.Lease
		}
		for _, k := range o.Faults {
			if kinds[k] < 4 {
				t.Errorf("seed %d: %d faults %s in %v", seed, kinds[k], k, o.Duration)
			}
		}
	}
	if !short || !long {
		t.Errorf("freezes shorter than a lease: %v, longer: %v", short, long)
	}
}

func TestKindsAreCheckedByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list  []string
		store string
		own   bool
		want  int // kinds; 0: an error
	}{
		{nil, testbed.StoreKV, true, 6},
		{[]string{"all"}, testbed.StoreMongo, true, 7},
		{[]string{"all"}, testbed.StoreKV, false, 5},
		{[]string{"kill", "freeze", "kill"}, testbed.StoreKV, true, 2},
		{[]string{"mongo"}, testbed.StoreKV, true, 0},
		{[]string{"restart"}, testbed.StoreKV, false, 0},
		{[]string{"kill", "fire"}, testbed.StoreKV, true, 0},
		{[]string{""}, testbed.StoreKV, true, 0},
	} {
		if kinds, err := CheckKinds(c.list, c.store, c.own, false); len(kinds) != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%+v: %q, %v", c, kinds, err)
		}
	}
}

// TestLateFaultIsInjectedAllTheSame: the time is not over while a fault of the schedule is to come,
// or the same seed would not inject the same faults.
func TestLateFaultIsInjectedAllTheSame(t *testing.T) {
	t.Parallel()
	j := &injector{schedule: []Fault{{Kind: KindKill}}}
	if j.allOver() {
		t.Error("it is over before its last fault")
	}
	if j.schedule = nil; !j.allOver() {
		t.Error("it is not over after its last fault")
	}
}
