package bustest

import (
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func bound() []promise {
	limited := Stream{MaxUnsettled: 5}
	return []promise{
		{name: "the bound on unsettled deliveries holds back, and releases", stream: limited, keeps: holdsBack},
		{name: "what waits for the delay of its nak does not hold up others", stream: limited, keeps: delaysHoldUpNobody},
		{name: "what waits for the delay of its nak is redelivered beside a full bound", stream: limited, keeps: delaysEnd},
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

// nackDelayed nacks the first n of all events with the delay, five at a time, which is the bound,
// and returns the five that were delivered after them.
func (f *fixture) nackDelayed(t *testing.T, n, all int, delay time.Duration) (bus.Source, []*bus.Delivery) {
	t.Helper()
	src, ds := f.fill(t)
	f.publish(t, events(all)[12:]...)
	for range n / 5 {
		for _, d := range ds {
			nak(t, d, delay)
		}
		ds = f.fetch(t, src, 5)
	}
	return src, ds
}

// delaysHoldUpNobody nacks four times as many events as the bound: those behind them are delivered,
// also to a source that was opened meanwhile.
func delaysHoldUpNobody(t *testing.T, f *fixture) {
	src, ds := f.nackDelayed(t, 20, 40, time.Hour)
	wantIDs(t, ds, "21", "22", "23", "24", "25")
	f.info(t, src, "25 unsettled, which is within the bound", func(i bus.Info) bool {
		return i.Unsettled == 25 && i.MaxUnsettled >= 25
	})
	ack(t, ds...)
	if err := src.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	src = f.subscribe(t, "g", nil)
	wantIDs(t, f.fetch(t, src, 5), "26", "27", "28", "29", "30")
	f.info(t, src, "20 delayed and 5 in flight", func(i bus.Info) bool { return i.Unsettled == 25 && i.Floor == 0 })
}

// delaysEnd nacks twice as many events as the bound: they are redelivered, though the bound is full
// of others by then. Who comes first is not promised: each has its own delay.
func delaysEnd(t *testing.T, f *fixture) {
	src, ds := f.nackDelayed(t, 10, 15, 4*time.Second)
	wantIDs(t, ds, "11", "12", "13", "14", "15")
	again := ids(f.fetch(t, src, 10))
	slices.Sort(again)
	equal(t, "delivered again", again, []string{"1", "10", "2", "3", "4", "5", "6", "7", "8", "9"})
}

func redeliversAtBound(t *testing.T, f *fixture) {
	src, ds := f.fill(t)
	nak(t, ds[2], 0)
	again := f.fetch(t, src, 1)
	wantIDs(t, again, "3")
	ack(t, again...)
	wantIDs(t, f.fetch(t, src, 1), "6")
}
