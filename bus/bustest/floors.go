package bustest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func floors(h Harness) []promise {
	return []promise{
		{name: "Info tells floor, pending and unsettled", keeps: tellsFloor},
		{name: "Info counts nothing lost while nothing is", keeps: losesNothing},
		{name: "Info counts what was deleted unseen as lost", keeps: countsDeleted, unless: h.Delete == nil},
		{name: "Info counts what was purged unseen as lost", keeps: countsPurged, unless: h.Purge == nil},
		{name: "Info counts what the stream's limit dropped unseen as lost", keeps: countsDropped, stream: Stream{MaxEvents: 3}},
		{
			name: "Info counts what grew too old unseen as lost", keeps: countsAged,
			stream: Stream{MaxAge: time.Second, DuplicateWindow: time.Second},
		},
		{
			name: "Info counts what was dropped while the group had no cursor", keeps: countsMeanwhile,
			unless: h.Purge == nil || h.DeleteGroup == nil,
		},
		{name: "an event that was deleted unsettled is no longer unsettled", keeps: forgetsDeleted, unless: h.Delete == nil},
	}
}

func tellsFloor(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", f.short())
	if info := f.info(t, src, "nothing", func(i bus.Info) bool { return i.Floor == 0 && i.Pending == 0 && i.Unsettled == 0 }); info.AckWait != f.h.AckWait {
		t.Errorf("AckWait %v; want %v", info.AckWait, f.h.AckWait)
	}
	src = f.subscribe(t, "slow", nil)
	f.publish(t, events(5)...)
	ds := f.fetch(t, src, 3)
	seq := func(i int) uint64 { return ds[i].At.Sequence }
	for _, step := range []struct {
		what                string
		ack                 int // index; -1: none
		floor, unsettled, n uint64
	}{
		{"nothing settled", -1, seq(0) - 1, 3, 2},
		{"the second settled", 1, seq(0) - 1, 2, 2},
		{"the first settled", 0, seq(1), 1, 2},
		{"all that was delivered settled", 2, seq(2), 0, 2},
	} {
		if step.ack >= 0 {
			ack(t, ds[step.ack])
		}
		info := f.info(t, src, step.what, func(i bus.Info) bool {
			return i.Floor == step.floor && i.Unsettled == step.unsettled && i.Pending == step.n
		})
		if info.Stream != ds[0].At.Stream {
			t.Fatalf("Info is of stream %q, the events are of %q", info.Stream, ds[0].At.Stream)
		}
		if info.AckWait != bus.DefaultAckWait || info.MaxUnsettled != bus.DefaultMaxUnsettled {
			t.Fatalf("%+v; want the default AckWait and MaxUnsettled", info)
		}
	}
}

func losesNothing(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.publish(t, events(4)...)
	ds := f.fetch(t, src, 4)
	nak(t, ds[0], 0)
	ack(t, f.fetch(t, src, 1)...)
	ack(t, ds[1:]...)
	f.idle(t, src)
	if info := f.info(t, src, "anything", func(bus.Info) bool { return true }); info.Lost != 0 {
		t.Errorf("%d events are lost: %+v; want none", info.Lost, info)
	}
}

// loses fetches the events that are left, one of them twice, and wants at least so many lost.
func (f *fixture) loses(t *testing.T, src bus.Source, lost uint64, left ...string) {
	t.Helper()
	ds := f.fetch(t, src, len(left))
	wantIDs(t, ds, left...)
	nak(t, ds[0], 0)
	ack(t, f.fetch(t, src, 1)...)
	ack(t, ds[1:]...)
	f.info(t, src, "all that was lost", func(i bus.Info) bool { return i.Lost >= lost && i.Unsettled == 0 && i.Pending == 0 })
}

func countsDeleted(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	receipts := f.publish(t, events(5)...)
	f.h.Delete(t, f.bus, receipts[1].Sequence, receipts[2].Sequence)
	f.loses(t, src, 2, "1", "4", "5")
}

func countsPurged(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	es := events(5)
	f.publish(t, es[:3]...)
	f.h.Purge(t, f.bus)
	f.publish(t, es[3:]...)
	f.loses(t, src, 3, "4", "5")
}

func countsDropped(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.publish(t, events(5)...)
	f.loses(t, src, 2, "3", "4", "5")
}

func countsMeanwhile(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	es := events(8)
	f.publish(t, es[:3]...)
	ds := f.fetch(t, src, 3)
	ack(t, ds...)
	f.idle(t, src)
	f.readOut(t, src)
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	f.publish(t, es[3:7]...)
	f.h.Purge(t, f.bus)
	f.publish(t, es[7])
	src = f.subscribe(t, "g", &bus.SubscribeOptions{Resume: ds[2].At})
	f.info(t, src, "4 lost", func(i bus.Info) bool { return i.Lost == 4 })
	wantIDs(t, f.fetch(t, src, 1), "8")
	again := f.subscribe(t, "g", &bus.SubscribeOptions{Resume: ds[2].At})
	if info := f.info(t, again, "anything", func(bus.Info) bool { return true }); info.Lost > 4 {
		t.Errorf("%d events are lost: %+v; want 4", info.Lost, info)
	}
}

func countsAged(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.publish(t, events(2)...)
	for limit := time.Now().Add(f.h.Patience); ; pause() {
		if f.topic(t, "orders.>", "g", bus.Start{}).First.Sequence == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("events of a second are still there")
		}
	}
	f.publish(t, event("3"))
	ds := f.fetch(t, src, 1)
	wantIDs(t, ds, "3")
	f.info(t, src, "2 lost", func(i bus.Info) bool { return i.Lost >= 2 })
}

func forgetsDeleted(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", f.short())
	f.publish(t, events(2)...)
	ds := f.fetch(t, src, 2)
	f.h.Delete(t, f.bus, ds[0].At.Sequence)
	ack(t, ds[1])
	f.idle(t, src)
	f.fetchNone(t, src, f.h.AckWait+f.h.AckWait/2)
}
