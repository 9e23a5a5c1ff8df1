package bustest

import (
	"slices"
	"testing"

	"github.com/onceish/onceish/bus"
)

func partitioning(h Harness, finds, reads, lists bool) []promise {
	return []promise{
		{name: "an event on another layout of its topic is the same event", keeps: knowsLayouts},
		{name: "a partition's subject covers the events that were mapped to it, in one order", keeps: coversMapped, unless: h.NoPartitions},
		{
			name: "a partition without events of its own covers what was mapped to it", keeps: coversOnlyMapped,
			stream: Stream{Topics: []string{"orders.new.of8.*.*"}}, unless: h.NoPartitions,
		},
		{name: "a partition with mapped events is rewound to its lowest unsettled event", keeps: rewindsMapped, unless: h.NoPartitions},
		{name: "a mapped event's key is the one in its subject, unless it brings one", keeps: keysMapped, unless: h.NoPartitions},
		{name: "a partition is read with what was mapped to it, in one order", keeps: readsMapped, unless: !reads || h.NoPartitions},
		{name: "the partitions of a layout are read together by a pattern of what lies below, and by no other", keeps: readsLayout, unless: !reads || h.NoPartitions},
		{name: "a topic is read with its partitions of every layout, in one order, and with nothing else", keeps: readsTopicWithPartitions, unless: !reads || h.NoPartitions},
		{
			name: "a topic that lies on partitions alone is read with them", keeps: readsPartitionsAlone,
			stream: Stream{Topics: []string{"orders.new.*.>"}}, unless: !reads || h.NoPartitions,
		},
		{name: "the next event of a partition is found among its own and mapped ones", keeps: findsMapped, unless: !finds || h.NoPartitions},
		{name: "the layouts are found in which a topic has events of its own", keeps: findsLayouts, unless: !finds || h.NoPartitions},
		{name: "the cursors of a group are listed with what is pending and unsettled", keeps: listsCursors, unless: !lists || h.NoPartitions},
		{name: "a cursor that was deleted is not listed", keeps: listsNoDeleted, unless: !lists || h.DeleteGroup == nil},
	}
}

var partition = bus.Partition{Topic: "orders.new", Of: 8, Number: 3}

// mapped are events of partition and its neighbours, by the order in which they are published.
// Those of partition are "1" to "5".
func mapped() []bus.Event {
	own, other := partition.Name(), bus.Partition{Topic: partition.Topic, Of: 8, Number: 4}.Name()
	older := bus.Partition{Topic: partition.Topic, Of: 4, Number: 3}.Name()
	return []bus.Event{
		{ID: "plain", Topic: partition.Topic},
		{ID: "1", Topic: own, Key: "a"},
		{ID: "neighbour", Topic: other, Key: "b"},
		{ID: "2", Topic: own + "." + bus.KeyToken("c.d")},
		{ID: "3", Topic: own},
		{ID: "neighbour 2", Topic: other + ".k"},
		{ID: "older", Topic: older + ".k"},
		{ID: "4", Topic: own + ".k", Key: "own"},
		{ID: "below", Topic: partition.Topic + ".of8.k"},
		{ID: "5", Topic: own, Key: "a"},
	}
}

func knowsLayouts(t *testing.T, f *fixture) {
	e := event("1")
	f.publish(t, e)
	for _, topic := range []string{partition.Name(), partition.Name() + ".k"} {
		e.Topic = topic
		if receipts, err := f.bus.Publish(t.Context(), e); err != nil || !receipts[0].Duplicate {
			t.Errorf("event %q, stored on %q, is published to %q: %+v, %v; want a duplicate", e.ID, event("1").Topic, topic, receipts, err)
		}
	}
	e.Topic = "orders.old.of8.3"
	f.publish(t, e)
}

func coversMapped(t *testing.T, f *fixture) {
	f.publish(t, mapped()...)
	src := f.subscribeTo(t, partition.Name(), "g", nil)
	ds := f.fetch(t, src, 5)
	wantIDs(t, ds, "1", "2", "3", "4", "5")
	f.info(t, src, "nothing pending", func(i bus.Info) bool { return i.Pending == 0 && i.Unsettled == 5 })
	for i, d := range ds {
		if i > 0 && d.At.Sequence <= ds[i-1].At.Sequence {
			t.Errorf("%q at sequence %d is delivered behind %d", d.Event.ID, d.At.Sequence, ds[i-1].At.Sequence)
		}
		if bus.LogicalTopic(d.Event.Topic) != partition.Topic {
			t.Errorf("%q is delivered under topic %q", d.Event.ID, d.Event.Topic)
		}
	}
	if !f.topic(t, partition.Name(), "g", bus.Start{}).Known {
		t.Error("the group is not known on the partition")
	}
	again := f.subscribeTo(t, partition.Name(), "g", nil)
	ack(t, ds...)
	f.idle(t, again)
	if err := again.Healthy(); err != nil {
		t.Errorf("a source on a partition is not healthy: %v", err)
	}
	wantIDs(t, f.fetch(t, f.subscribeTo(t, partition.Topic, "g", nil), 1), "plain")
}

func coversOnlyMapped(t *testing.T, f *fixture) {
	f.publish(t, bus.Event{ID: "1", Topic: partition.Name() + ".k"})
	src := f.subscribeTo(t, partition.Name(), "g", nil)
	ds := f.fetch(t, src, 1)
	wantIDs(t, ds, "1")
	ack(t, ds...)
	f.idle(t, src)
}

func rewindsMapped(t *testing.T, f *fixture) {
	f.publish(t, mapped()...)
	old := f.subscribeTo(t, partition.Name(), "g", nil)
	ds := f.fetch(t, old, 4)
	ack(t, ds[0], ds[2])
	f.info(t, old, "two settled", func(i bus.Info) bool { return i.Unsettled == 2 })
	src := f.subscribeTo(t, partition.Name(), "g", &bus.SubscribeOptions{Rewind: true})
	again := f.fetch(t, src, 4)
	wantRewound(t, again, "2", "3", "4", "5")
	ack(t, again...)
	f.info(t, src, "everything settled", func(i bus.Info) bool { return i.Unsettled == 0 && i.Pending == 0 && i.Floor >= again[3].At.Sequence })
}

func keysMapped(t *testing.T, f *fixture) {
	f.publish(t, mapped()...)
	var keys, types []string
	for _, d := range f.fetch(t, f.subscribeTo(t, partition.Name(), "g", nil), 5) {
		keys, types = append(keys, d.Event.Key), append(types, d.Event.Type)
	}
	equal(t, "keys", keys, []string{"a", "c.d", "", "own", "a"})
	equal(t, "types", types, slices.Repeat([]string{partition.Topic}, 5))
}

func readsMapped(t *testing.T, f *fixture) {
	f.publish(t, mapped()...)
	reader := f.bus.(bus.Reader) //nolint:errcheck,forcetypeassert // the case is run for those alone
	var got []string
	for s, err := range reader.Read(t.Context(), partition.Name(), bus.Range{}) {
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		got = append(got, s.Event.ID+" "+s.Event.Key)
	}
	equal(t, "read", got, []string{"1 a", "2 c.d", "3 ", "4 own", "5 a"})
}

func readsLayout(t *testing.T, f *fixture) {
	f.publish(t, mapped()...)
	reader := f.bus.(bus.Reader) //nolint:errcheck,forcetypeassert // the case is run for those alone
	for pattern, want := range map[string][]string{
		".of8.>":   {"1", "neighbour", "2", "3", "neighbour 2", "4", "below", "5"},
		".of8.*.>": {"1", "neighbour", "2", "3", "neighbour 2", "4", "5"},
	} {
		var got []string
		for s, err := range reader.Read(t.Context(), partition.Topic+pattern, bus.Range{}) {
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			got = append(got, s.Event.ID)
		}
		equal(t, pattern, got, want)
	}
}

// partitioned reads a topic with its partitions.
func (f *fixture) partitioned(t *testing.T, topic string, from bus.From) []string {
	t.Helper()
	return readIDs(f.read(t, topic, bus.Range{From: from, Partitions: true}))
}

func readsTopicWithPartitions(t *testing.T, f *fixture) {
	f.publish(t, append(mapped(), bus.Event{ID: "far below", Topic: partition.Topic + ".eu.of8.3"}, bus.Event{ID: "beside", Topic: "orders.newer.of8.3"})...)
	want := []string{"plain", "1", "neighbour", "2", "3", "neighbour 2", "older", "4", "5"}
	equal(t, "a topic", f.partitioned(t, partition.Topic, bus.From{}), want)
	equal(t, "a topic, behind an id", f.partitioned(t, partition.Topic, bus.From{AfterID: "2"}), want[4:])
	equal(t, "a partition", f.partitioned(t, partition.Name(), bus.From{}), []string{"1", "2", "3", "4", "5"})
	equal(t, "a pattern", f.partitioned(t, "orders.new.*", bus.From{}), nil)
	equal(t, "a topic without its partitions", readIDs(f.read(t, partition.Topic, bus.Range{})), want[:1])
	for s, err := range f.reader(t).Read(t.Context(), partition.Topic, bus.Range{Partitions: true}) {
		if err != nil || s.Event.ID == "1" && s.Event.Topic != partition.Name() {
			t.Errorf("read %q of %q, %v", s.Event.ID, s.Event.Topic, err)
		}
	}
}

func readsPartitionsAlone(t *testing.T, f *fixture) {
	var es []bus.Event
	for _, e := range mapped() {
		if e.Topic != partition.Topic {
			es = append(es, e)
		}
	}
	f.publish(t, es...)
	equal(t, "read", f.partitioned(t, partition.Topic, bus.From{}), []string{"1", "neighbour", "2", "3", "neighbour 2", "older", "4", "5"})
	f.endsWith(t, partition.Topic, bus.Range{}, bus.ErrNoStream)
}

func findsMapped(t *testing.T, f *fixture) {
	next, ok := f.bus.(bus.NextFinder)
	if !ok {
		t.Skipf("%T is no bus.NextFinder", f.bus)
	}
	f.publish(t, mapped()...)
	ds := f.fetch(t, f.subscribeTo(t, partition.Name(), "g", nil), 5)
	after := bus.Position{Stream: ds[0].At.Stream}
	for _, d := range ds {
		at, err := next.FindNext(t.Context(), partition.Name(), after)
		if err != nil || at != d.At {
			t.Fatalf("behind sequence %d: %+v, %v; want %+v", after.Sequence, at, err, d.At)
		}
		after = at
	}
	if at, err := next.FindNext(t.Context(), partition.Name(), after); err != nil || at != (bus.Position{}) {
		t.Errorf("behind the last: %+v, %v", at, err)
	}
}

func findsLayouts(t *testing.T, f *fixture) {
	finder, ok := f.bus.(bus.LayoutFinder)
	if !ok {
		t.Skipf("%T is no bus.LayoutFinder", f.bus)
	}
	find := func(want ...int) {
		t.Helper()
		got, err := finder.FindLayouts(t.Context(), partition.Topic, f.topic(t, partition.Name(), "", bus.Start{}).Start)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("layouts %v, %v; want %v", got, err, want)
		}
	}
	find()
	f.publish(t, bus.Event{ID: "0", Topic: bus.Partition{Topic: partition.Topic, Of: 16, Number: 15}.Name()})
	f.publish(t, mapped()...)
	f.publish(t, bus.Event{ID: "another", Topic: "orders.old.of3.1"}, bus.Event{ID: "none", Topic: "orders.new.of3.3"})
	find(8, 16)
}

func (f *fixture) cursors(t *testing.T, group string) []bus.Cursor {
	t.Helper()
	lister := f.bus.(bus.CursorLister) //nolint:errcheck,forcetypeassert // the case is run for those alone
	cursors, err := lister.Cursors(t.Context(), group)
	if err != nil {
		t.Fatalf("Cursors: %v", err)
	}
	return cursors
}

func listsCursors(t *testing.T, f *fixture) {
	if got := f.cursors(t, "g"); len(got) != 0 {
		t.Errorf("a group without a cursor has %+v", got)
	}
	f.publish(t, mapped()...)
	src := f.subscribeTo(t, partition.Name(), "g", nil)
	ack(t, f.fetch(t, src, 3)[0])
	f.info(t, src, "one settled", func(i bus.Info) bool { return i.Unsettled == 2 && i.Pending == 2 })
	f.subscribeTo(t, "orders.*", "g", nil)
	f.subscribeTo(t, "orders.new", "another", nil)
	want := []bus.Cursor{{Topic: "orders.*", Pending: 1}, {Topic: partition.Name(), Pending: 2, Unsettled: 2}}
	if got := f.cursors(t, "g"); !slices.Equal(got, want) {
		t.Errorf("the group's cursors are %+v; want %+v", got, want)
	}
}

func listsNoDeleted(t *testing.T, f *fixture) {
	f.subscribe(t, "g", nil)
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	if got := f.cursors(t, "g"); len(got) != 0 {
		t.Errorf("the group's deleted cursor is listed: %+v", got)
	}
}
