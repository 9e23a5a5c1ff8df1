package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func rewinding(h Harness) []promise {
	return []promise{
		{name: "a rewound cursor begins with what another source has in flight", keeps: rewindsInFlight},
		{name: "a rewound cursor begins with what was nacked with a delay", keeps: rewindsDelayed},
		{name: "a rewound cursor delivers again what was settled above its floor", keeps: rewindsSettled},
		{name: "a rewound cursor of a work queue delivers what is left, by sequence", keeps: rewindsQueue, stream: Stream{WorkQueue: true}},
		{name: "a rewound cursor goes no further back than its group began", keeps: rewindsToStart},
		{name: "a rewind of a cursor that has to be created starts it as asked", keeps: rewindsNone},
		{name: "a late ack of another source settles its event at most", keeps: rewindsUnderAck},
		{name: "what another source has asked for gets nothing of a rewound cursor", keeps: rewindsUnderRequest},
		{name: "Info, Topic and Resume are right after a rewind", keeps: rewindsInfo},
		{name: "deadlines and nacks hold after a rewind", keeps: rewindsThenRedelivers},
		{name: "a rewound source hands out nothing beyond what went to another source", keeps: rewindsUnderReader},
		{name: "a rewound source is not disturbed by what it settles, nacks and lets expire", keeps: rewindsUndisturbed},
		{name: "a cursor that was deleted under its source resumes as asked, rewound or not", keeps: rewindsLost, unless: h.DeleteGroup == nil},
	}
}

// rewind subscribes alone from now on.
func (f *fixture) rewind(t *testing.T, o *bus.SubscribeOptions) bus.Source {
	t.Helper()
	rewound := bus.SubscribeOptions{Rewind: true}
	if o != nil {
		rewound = *o
		rewound.Rewind = true
	}
	return f.subscribe(t, "g", &rewound)
}

// wantRewound wants deliveries that count as the first of their events.
func wantRewound(t *testing.T, ds []*bus.Delivery, want ...string) {
	t.Helper()
	wantIDs(t, ds, want...)
	for _, d := range ds {
		if d.Arrivals != 1 {
			t.Errorf("%q counts %d arrivals after a rewind; want 1", d.Event.ID, d.Arrivals)
		}
	}
}

func rewindsInFlight(t *testing.T, f *fixture) {
	f.publish(t, events(5)...)
	old := f.subscribe(t, "g", nil)
	ack(t, f.fetch(t, old, 4)[0])
	f.info(t, old, "the first settled", func(i bus.Info) bool { return i.Unsettled == 3 })
	ds := f.fetch(t, f.rewind(t, nil), 4)
	wantRewound(t, ds, "2", "3", "4", "5")
}

func rewindsDelayed(t *testing.T, f *fixture) {
	f.publish(t, events(5)...)
	old := f.subscribe(t, "g", nil)
	ds := f.fetch(t, old, 4)
	ack(t, ds[0])
	nak(t, ds[1], time.Hour)
	f.info(t, old, "the first settled", func(i bus.Info) bool { return i.Unsettled == 3 })
	wantRewound(t, f.fetch(t, f.rewind(t, nil), 4), "2", "3", "4", "5")
}

func rewindsSettled(t *testing.T, f *fixture) {
	f.publish(t, events(6)...)
	old := f.subscribe(t, "g", nil)
	ds := f.fetch(t, old, 5)
	ack(t, ds[0], ds[1], ds[3], ds[4])
	f.info(t, old, "four settled", func(i bus.Info) bool { return i.Unsettled == 1 && i.Floor == ds[1].At.Sequence })
	src := f.rewind(t, nil)
	again := f.fetch(t, src, 4)
	wantRewound(t, again, "3", "4", "5", "6")
	ack(t, again...)
	f.info(t, src, "everything settled", func(i bus.Info) bool {
		return i.Unsettled == 0 && i.Pending == 0 && i.Floor == again[3].At.Sequence && i.Lost == 0
	})
	f.fetchNone(t, src, f.h.AckWait/2)
}

func rewindsQueue(t *testing.T, f *fixture) {
	f.publish(t, events(6)...)
	old := f.subscribe(t, "g", nil)
	ds := f.fetch(t, old, 5)
	ack(t, ds[0], ds[3])
	nak(t, ds[2], time.Hour)
	f.info(t, old, "two settled", func(i bus.Info) bool { return i.Unsettled == 3 })
	src := f.rewind(t, nil)
	again := f.fetch(t, src, 4)
	wantRewound(t, again, "2", "3", "5", "6")
	ack(t, again...)
	f.idle(t, src)
}

func rewindsToStart(t *testing.T, f *fixture) {
	f.publish(t, events(2)...)
	from := f.topic(t, "orders.>", "g", bus.Start{Latest: true}).Start
	pause()
	for _, c := range []struct {
		group string
		o     bus.SubscribeOptions
	}{
		{"latest", bus.SubscribeOptions{From: bus.Start{Latest: true}}},
		{"time", bus.SubscribeOptions{From: bus.Start{Time: from.Stored.Add(1)}}},
		{"resumed", bus.SubscribeOptions{Resume: from}},
	} {
		src := f.subscribe(t, c.group, &c.o)
		rewound := f.subscribe(t, c.group, &bus.SubscribeOptions{Rewind: true})
		f.info(t, rewound, "nothing pending", func(i bus.Info) bool { return i.Pending == 0 && i.Unsettled == 0 && i.Lost == 0 })
		_, _ = src, rewound
	}
	f.publish(t, events(4)[2:]...)
	for _, group := range []string{"latest", "time", "resumed"} {
		wantIDs(t, f.fetch(t, f.subscribe(t, group, nil), 2), "3", "4")
		wantRewound(t, f.fetch(t, f.subscribe(t, group, &bus.SubscribeOptions{Rewind: true}), 2), "3", "4")
	}
}

func rewindsNone(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	if info := f.topic(t, "orders.>", "g", bus.Start{}); info.Known {
		t.Fatal("a group is known without a cursor")
	}
	f.rewind(t, &bus.SubscribeOptions{From: bus.Start{Latest: true}})
	f.publish(t, event("4"))
	wantRewound(t, f.fetch(t, f.rewind(t, nil), 1), "4")
}

func rewindsUnderAck(t *testing.T, f *fixture) {
	f.publish(t, events(4)...)
	old := f.subscribe(t, "g", nil)
	stale := f.fetch(t, old, 3)
	src := f.rewind(t, nil)
	first := f.fetch(t, src, 1)
	wantRewound(t, first, "1")
	ack(t, stale[0])
	f.info(t, src, "the first settled by its stale ack", func(i bus.Info) bool { return i.Unsettled == 0 && i.Floor == stale[0].At.Sequence })
	ack(t, stale[2]) // It was not delivered again.
	rest := f.fetch(t, src, 3)
	wantRewound(t, rest, "2", "3", "4")
	ack(t, first...)
	ack(t, rest...)
	f.info(t, src, "everything settled", func(i bus.Info) bool {
		return i.Unsettled == 0 && i.Pending == 0 && i.Floor == rest[2].At.Sequence && i.Lost == 0
	})
}

func rewindsUnderRequest(t *testing.T, f *fixture) {
	f.publish(t, event("1"))
	old := f.subscribe(t, "g", nil)
	f.fetch(t, old, 1)
	f.readOut(t, old)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if ds, err := old.Fetch(ctx, 100); len(ds) > 0 || err != nil {
		t.Fatalf("Fetch of nothing: %v, %v", ids(ds), err)
	}
	src := f.rewind(t, nil)
	f.publish(t, events(3)[1:]...)
	wantRewound(t, f.fetch(t, src, 3), "1", "2", "3")
}

func rewindsInfo(t *testing.T, f *fixture) {
	f.publish(t, events(5)...)
	old := f.subscribe(t, "g", nil)
	ds := f.fetch(t, old, 3)
	ack(t, ds[0], ds[2])
	f.info(t, old, "two settled", func(i bus.Info) bool { return i.Unsettled == 1 })
	src := f.rewind(t, &bus.SubscribeOptions{AckWait: time.Minute, Resume: ds[2].At, From: bus.Start{Latest: true}})
	info := f.info(t, src, "all above the floor pending", func(i bus.Info) bool { return i.Pending == 4 })
	if info.Stream != ds[0].At.Stream || info.Floor != ds[0].At.Sequence || info.Unsettled != 0 || info.Lost != 0 ||
		info.MaxUnsettled != bus.DefaultMaxUnsettled || info.AckWait != time.Minute {
		t.Errorf("%+v; want the floor at %d, and nothing unsettled or lost", info, ds[0].At.Sequence)
	}
	if topic := f.topic(t, "orders.>", "g", bus.Start{Latest: true}); !topic.Known || topic.Start.Sequence != 0 {
		t.Errorf("a rewound group is known: %v, and starts at %+v", topic.Known, topic.Start)
	}
	again := f.fetch(t, src, 4)
	wantRewound(t, again, "2", "3", "4", "5")
	if again[1].At != ds[2].At {
		t.Errorf("an event lies at %+v after a rewind, and at %+v before", again[1].At, ds[2].At)
	}
	if err := src.Healthy(); err != nil {
		t.Errorf("a rewound source is not healthy: %v", err)
	}
}

func rewindsThenRedelivers(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	f.fetch(t, f.subscribe(t, "g", nil), 3)
	src := f.rewind(t, f.short())
	ds := f.fetch(t, src, 3)
	ack(t, ds[1])
	nak(t, ds[2], 0)
	again := f.fetch(t, src, 2)
	wantIDs(t, again, "3", "1")
	for _, d := range again {
		if d.Arrivals != 2 {
			t.Errorf("%q counts %d arrivals; want 2", d.Event.ID, d.Arrivals)
		}
	}
	ack(t, again...)
	f.idle(t, src)
}

func rewindsUnderReader(t *testing.T, f *fixture) {
	f.publish(t, event("1"))
	src := f.rewind(t, nil)
	wantRewound(t, f.fetch(t, src, 1), "1")
	other := f.subscribe(t, "g", nil)
	for _, s := range []bus.Source{src, other} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if ds, err := s.Fetch(ctx, 100); len(ds) > 0 || err != nil {
			t.Fatalf("Fetch of nothing: %v, %v", ids(ds), err)
		}
		cancel()
	}
	f.publish(t, events(7)[1:]...) // Each gets some of them.
	got := f.fetchUntilLost(t, src)
	if len(got) == 6 {
		t.Fatal("the other source got nothing")
	}
	wantRewound(t, got, []string{"2", "3", "4", "5", "6"}[:len(got)]...)
	f.readOut(t, other)
	wantRewound(t, f.fetch(t, f.rewind(t, nil), 7), "1", "2", "3", "4", "5", "6", "7")
}

// fetchUntilLost returns what a source hands out before it has lost its cursor.
func (f *fixture) fetchUntilLost(t *testing.T, src bus.Source) []*bus.Delivery {
	t.Helper()
	var ds []*bus.Delivery
	var err error
	for limit := time.Now().Add(f.h.Patience); time.Now().Before(limit) && !errors.Is(err, bus.ErrConsumerLost); {
		var got []*bus.Delivery
		got, err = src.Fetch(t.Context(), 100)
		ds = append(ds, got...)
	}
	if !errors.Is(err, bus.ErrConsumerLost) || !errors.Is(src.Healthy(), bus.ErrConsumerLost) {
		t.Fatalf("after %q: Fetch: %v, Healthy: %v; want ErrConsumerLost of both", ids(ds), err, src.Healthy())
	}
	return ds
}

func rewindsUndisturbed(t *testing.T, f *fixture) {
	src := f.rewind(t, f.short())
	for i := range 6 {
		id := fmt.Sprint(i)
		f.publish(t, event(id), event("acked"+id), event("nacked"+id))
		ds := f.fetch(t, src, 3)
		ack(t, ds[1])
		nak(t, ds[2], time.Duration(i%2)*f.h.AckWait/4)
		again := f.fetch(t, src, 2)
		wantIDs(t, again, "nacked"+id, id)
		ack(t, again...)
	}
	f.idle(t, src)
	if err := src.Healthy(); err != nil {
		t.Error(err)
	}
}

func rewindsLost(t *testing.T, f *fixture) {
	f.publish(t, events(4)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 2)
	ack(t, ds...)
	f.idle(t, src)
	f.readOut(t, src)
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	f.lost(t, src)
	wantRewound(t, f.fetch(t, f.rewind(t, &bus.SubscribeOptions{Resume: ds[1].At}), 2), "3", "4")
}
