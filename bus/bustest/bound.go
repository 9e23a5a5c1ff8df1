package bustest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func bound() []promise {
	limited := Stream{MaxUnsettled: 5}
	return []promise{
		{name: "the bound on unsettled deliveries holds back, and releases", stream: limited, keeps: holdsBack},
		{name: "a naked event keeps its place in the bound", stream: limited, keeps: keepsPlace},
		{name: "redeliveries pass the bound", stream: limited, keeps: redeliversAtBound},
	}
}

// watch is how long the cases look for what must not come.
const watch = 300 * time.Millisecond

func (f *fixture) fill(t *testing.T) (bus.Source, []*bus.Delivery) {
	t.Helper()
	f.publish(t, events(12)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 5)
	f.fetchNone(t, src, watch)
	return src, ds
}

func holdsBack(t *testing.T, f *fixture) {
	src, ds := f.fill(t)
	f.info(t, src, "5 of 5 unsettled, 7 pending", func(i bus.Info) bool {
		return i.Unsettled == 5 && i.MaxUnsettled == 5 && i.Pending == 7
	})
	ack(t, ds[1])
	if err := ds[3].Term(t.Context(), "no use"); err != nil {
		t.Fatalf("Term: %v", err)
	}
	wantIDs(t, f.fetch(t, src, 2), "6", "7")
	f.fetchNone(t, src, watch)
}

func keepsPlace(t *testing.T, f *fixture) {
	src, ds := f.fill(t)
	for _, d := range ds {
		nak(t, d, time.Hour)
	}
	f.fetchNone(t, src, watch)
	f.info(t, src, "5 unsettled", func(i bus.Info) bool { return i.Unsettled == 5 })
}

func redeliversAtBound(t *testing.T, f *fixture) {
	src, ds := f.fill(t)
	nak(t, ds[2], 0)
	again := f.fetch(t, src, 1)
	wantIDs(t, again, "3")
	ack(t, again...)
	wantIDs(t, f.fetch(t, src, 1), "6")
}
