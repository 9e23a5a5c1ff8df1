package bustest

import (
	"testing"

	"github.com/onceish/onceish/bus"
)

func restoring(h Harness, finds bool) []promise {
	return []promise{
		{
			name: "events under sequences that are used again reach a cursor rebuilt by time", keeps: resumesRestored,
			unless: h.Snapshot == nil || h.DeleteGroup == nil,
		},
		{
			name: "a stream that was deleted and restored has the events of its copy", keeps: recognisesCopy,
			unless: !finds || h.Backup == nil,
		},
		{name: "an event that a restore took away can be published again", keeps: publishesRestored, unless: h.Snapshot == nil},
		{name: "what was stored, settled and not settled survives a restart", keeps: survivesRestart, unless: h.Restart == nil},
	}
}

func resumesRestored(t *testing.T, f *fixture) {
	f.publish(t, event("old"))
	src := f.subscribe(t, "g", nil)
	ack(t, f.fetch(t, src, 1)...)
	f.idle(t, src) // An ack on its way may get lost.
	restore := f.h.Snapshot(t, f.bus)
	f.publish(t, event("a"), event("b"))
	gone := f.fetch(t, src, 2)
	ack(t, gone...)
	f.idle(t, src)
	f.readOut(t, src)
	if err := src.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	restore(t)
	pause()
	receipts := f.publish(t, event("c"), event("d"), event("e"))
	if receipts[0].Sequence != gone[0].At.Sequence {
		t.Fatalf("sequence %d was given out; the copy ends before %d", receipts[0].Sequence, gone[0].At.Sequence)
	}
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	watermark := gone[1].At
	src = f.subscribe(t, "g", &bus.SubscribeOptions{Resume: bus.Position{Stored: watermark.Stored}})
	ds := f.fetch(t, src, 3)
	wantIDs(t, ds, "c", "d", "e")
	for _, d := range ds {
		if watermark.Covers(d.At) {
			t.Errorf("watermark %+v covers the new event at %+v", watermark, d.At)
		}
	}
}

func recognisesCopy(t *testing.T, f *fixture) {
	f.publish(t, events(4)...)
	before := f.topic(t, "orders.>", "g", bus.Start{})
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 2)
	ack(t, ds...)
	f.idle(t, src)
	f.readOut(t, src)
	f.h.Backup(t, f.bus)(t)
	f.lost(t, src)
	after := f.topic(t, "orders.>", "g", bus.Start{})
	if after.Known { // its time of creation is another one, or not: servers differ
		t.Fatalf("the group has a cursor in %q, which was restored without", after.Start.Stream)
	}
	if after.First.Sequence != before.First.Sequence || after.Last.Sequence != before.Last.Sequence ||
		!after.First.Stored.Equal(before.First.Stored) || !after.Last.Stored.Equal(before.Last.Stored) {
		t.Errorf("it reaches from %+v to %+v; want %+v to %+v", after.First, after.Last, before.First, before.Last)
	}
	there := []bus.Position{ds[0].At, ds[1].At, before.Last}
	for i := range there {
		there[i].Stream = after.Start.Stream
	}
	f.exist(t, there, true, true, true)
	src = f.subscribe(t, "g", &bus.SubscribeOptions{Resume: there[1]})
	wantIDs(t, f.fetch(t, src, 2), "3", "4")
}

func publishesRestored(t *testing.T, f *fixture) {
	f.publish(t, event("kept"))
	restore := f.h.Snapshot(t, f.bus)
	f.publish(t, event("gone"))
	restore(t)
	f.again(t, event("kept"), 1)
	f.publish(t, event("gone"))
	wantIDs(t, f.fetch(t, f.subscribe(t, "g", nil), 2), "kept", "gone")
}

func survivesRestart(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", f.short())
	first := f.publish(t, events(3)...)
	ds := f.fetch(t, src, 2)
	ack(t, ds[0])
	f.info(t, src, "the first settled", func(i bus.Info) bool { return i.Unsettled == 1 })
	f.readOut(t, src)
	f.h.Restart(t, f.bus)
	again := f.fetchThrough(t, src, 2)
	seen := map[string]int{}
	for _, d := range again {
		seen[d.Event.ID] = d.Arrivals
		if d.At.Stream != ds[0].At.Stream {
			t.Errorf("the stream is %q after the restart; it was %q", d.At.Stream, ds[0].At.Stream)
		}
	}
	if seen["2"] < 2 || seen["3"] < 1 {
		t.Fatalf("after the restart %v arrived (event: arrivals); want 2 again, and 3", seen)
	}
	ack(t, again...)
	f.again(t, event("1"), first[0].Sequence)
	f.publish(t, event("4"))
	last := f.fetchThrough(t, src, 1)
	wantIDs(t, last, "4")
	ack(t, last...)
	f.info(t, src, "all settled", func(i bus.Info) bool { return i.Floor == last[0].At.Sequence })
}
