package deferral_test

import (
	"context"
	"testing"
	"time"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// On a real server events are summed up at their interval, and what is flushed before it.
func TestSummariesOnJetStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, err := natsbus.New(natstest.Connect(t, natstest.Start(t, nil).URL()), &natsbus.Options{Provision: &natsbus.Provision{}})
	must(t, err)
	t.Cleanup(func() { b.Close() })
	store, err := memdedupe.New(nil)
	must(t, err)
	c := perMinute(1)
	c.Interval = time.Hour
	tracker, err := deferral.Open(t.Context(), b, store, "billing", c, w.sum, &deferral.Options{Logger: discard()})
	must(t, err)
	w.start(tracker)
	all := orders("a", 0, 20)
	for _, e := range all {
		_, err := tracker.Track(t.Context(), e)
		must(t, err)
	}
	waiting, err := deferral.List(t.Context(), b, store, "billing", "deferred.billing")
	must(t, err)
	if len(waiting) != 1 || waiting[0].Key != "a" || waiting[0].Events != 19 {
		t.Errorf("waiting: %+v, want 19 events of a", waiting)
	}
	must(t, deferral.Flush(context.Background(), b, "deferred.billing"))
	for len(w.sums()) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("there is no summary")
		}
		time.Sleep(10 * time.Millisecond)
	}
	wantIDs(t, "the summary", w.sums()[0].ids, ids(all[1:]))
}
