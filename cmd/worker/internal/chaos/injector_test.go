package chaos

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// TestFrozenProcessGoesOnThoughAnotherHasItsPlace: one that was told to drain while it was frozen
// drains when the freeze is over, and nobody is blamed.
func TestFrozenProcessGoesOnThoughAnotherHasItsPlace(t *testing.T) {
	t.Parallel()
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	slot := &workerSlot{assignment: &workAssignment{Bed: testbed.Bed{Name: "idle", Store: testbed.StoreKV}}}
	f := newFleet(&testbed.Pool{Command: []string{os.Args[0], "idle"}, Log: log}, []*workerSlot{slot}, time.Minute)
	defer f.close()
	if err := f.startWorker(0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	j := &injector{fleet: f, flights: make(flights), schedule: []Fault{{Kind: KindFreeze}}}
	if _, err := j.beginNext(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.drainWorker(ctx, 0); err != nil { // a fault that was late is not over yet
		t.Fatal(err)
	}
	if err := j.heal(ctx, j.injections[0]); err != nil {
		t.Fatal(err)
	}
	select {
	case end := <-f.drained:
		f.draining--
		if end.err != nil {
			t.Errorf("the frozen process: %v", end.err)
		}
	case <-ctx.Done():
		t.Error("the frozen process does not drain")
	}
}

// TestFaultOfAllWaitsForTheServer: a server that is starting is neither killed again nor asked.
func TestFaultOfAllWaitsForTheServer(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{KindRestart, KindConsumer} {
		j := &injector{fleet: newFleet(nil, nil, 0), schedule: []Fault{{Kind: kind, Victim: everyWorker}}, restarting: &Injection{}}
		if j.isDue(time.Hour) {
			t.Errorf("%s begins while the server is started", kind)
		}
		if j.restarting = nil; !j.isDue(time.Hour) {
			t.Errorf("%s does not begin when the server is back", kind)
		}
	}
}
