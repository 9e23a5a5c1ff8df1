package bustest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func topics() []promise {
	return []promise{
		{name: "Topic makes nothing and knows the group once it subscribed", keeps: makesNothing},
		{name: "Topic tells the first event that the stream still has", keeps: tellsFirst},
		{name: "Topic tells the last event that the stream was given", keeps: tellsLast},
		{name: "Topic tells the limit that drops events unhandled", keeps: tellsDropping, stream: Stream{MaxEvents: 7}},
		{name: "Topic tells the limits of the stream", keeps: tellsLimits, stream: Stream{MaxAge: time.Hour}},
		{name: "Topic tells of a work queue", keeps: tellsWorkQueue, stream: Stream{WorkQueue: true}},
		{name: "Topic tells a publisher, who has no group, of the stream", keeps: tellsPublisher},
		{name: "the start of a new group at the earliest event covers nothing", keeps: startsEarliest},
		{name: "the start of a new group at the latest event covers what is there", keeps: startsLatest},
		{name: "the start of a new group at a time covers nothing stored since", keeps: startsAtTime},
		{name: "a known group starts at the earliest event", keeps: startsKnown},
	}
}

func (f *fixture) topic(t *testing.T, topic, group string, from bus.Start) bus.TopicInfo {
	t.Helper()
	info, err := f.bus.Topic(t.Context(), topic, group, from)
	if err != nil {
		t.Fatalf("Topic(%q, %q): %v", topic, group, err)
	}
	return info
}

func makesNothing(t *testing.T, f *fixture) {
	for range 2 {
		if info := f.topic(t, "orders.>", "g", bus.Start{}); info.Known {
			t.Fatal("Topic knows a group that never subscribed")
		}
	}
	f.subscribe(t, "g", nil)
	if info := f.topic(t, "orders.>", "g", bus.Start{}); !info.Known {
		t.Error("Topic does not know a group that subscribed")
	}
	if info := f.topic(t, "orders.>", "other", bus.Start{}); info.Known {
		t.Error("Topic knows another group")
	}
	if info := f.topic(t, "orders.new", "g", bus.Start{}); info.Known {
		t.Error("Topic knows the group on a topic to which it did not subscribe")
	}
}

func tellsFirst(t *testing.T, f *fixture) {
	if first := f.topic(t, "orders.>", "g", bus.Start{}).First; first != (bus.Position{}) {
		t.Errorf("the first event of an empty stream is %+v; want none", first)
	}
	f.publish(t, events(3)...)
	first := f.topic(t, "orders.>", "g", bus.Start{}).First
	ds := f.fetch(t, f.subscribe(t, "g", nil), 3)
	f.wantPosition(t, first, ds[0].At)
	if f.h.Delete != nil {
		f.h.Delete(t, f.bus, ds[0].At.Sequence)
		f.wantPosition(t, f.topic(t, "orders.>", "g", bus.Start{}).First, ds[1].At)
	}
}

func (f *fixture) wantPosition(t *testing.T, got, want bus.Position) {
	t.Helper()
	if got.Stream != want.Stream || got.Sequence != want.Sequence || !got.Stored.Equal(want.Stored) {
		t.Errorf("position %+v; want %+v", got, want)
	}
}

func tellsLast(t *testing.T, f *fixture) {
	if last := f.topic(t, "orders.>", "g", bus.Start{}).Last; last != (bus.Position{}) {
		t.Errorf("the last event of an empty stream is %+v; want none", last)
	}
	f.publish(t, events(3)...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 3)
	f.wantPosition(t, f.topic(t, "orders.>", "g", bus.Start{}).Last, ds[2].At)
	if f.h.Purge != nil {
		f.h.Purge(t, f.bus)
		info := f.topic(t, "orders.>", "g", bus.Start{})
		if info.Last.Sequence != ds[2].At.Sequence || info.First != (bus.Position{}) {
			t.Errorf("first %+v, last %+v in a purged stream; want none, and still sequence %d", info.First, info.Last, ds[2].At.Sequence)
		}
	}
}

func tellsPublisher(t *testing.T, f *fixture) {
	f.subscribe(t, "g", nil)
	f.publish(t, events(3)...)
	for _, topic := range []string{"orders.>", "orders.new"} {
		info := f.topic(t, topic, "", bus.Start{})
		if info.Known || info.ReadOnly || info.Last.Sequence != 3 {
			t.Errorf("Topic(%q) of a publisher: %+v; want no group, and the last of 3 events", topic, info)
		}
	}
}

func tellsDropping(t *testing.T, f *fixture) {
	if limits := f.topic(t, "orders.new", "g", bus.Start{}).Limits; limits != (bus.Limits{Events: 7}) {
		t.Errorf("%+v; want that it keeps 7 events", limits)
	}
}

func tellsLimits(t *testing.T, f *fixture) {
	info := f.topic(t, "orders.new", "g", bus.Start{})
	if info.MaxAge != time.Hour || info.WorkQueue || info.MaxBytes < 0 {
		t.Errorf("%+v; want a MaxAge of 1h and no work queue", info)
	}
	if info.Limits != (bus.Limits{}) {
		t.Errorf("%+v drop events; want none that do", info.Limits)
	}
}

func tellsWorkQueue(t *testing.T, f *fixture) {
	if info := f.topic(t, "orders.new", "g", bus.Start{}); !info.WorkQueue || info.MaxAge != 0 {
		t.Errorf("%+v; want a work queue without MaxAge", info)
	}
	f.publish(t, events(2)...)
	src := f.subscribe(t, "g", nil)
	ack(t, f.fetch(t, src, 2)...)
	for limit := time.Now().Add(f.h.Patience); ; pause() {
		first := f.topic(t, "orders.new", "g", bus.Start{}).First
		if first.Sequence == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("acknowledged events are still there: first %+v", first)
		}
	}
	f.publish(t, event("3"))
	wantIDs(t, f.fetch(t, src, 1), "3")
}

// split asks where from would start a new group, and returns which events of the stream that
// covers, and which not.
func (f *fixture) split(t *testing.T, group string, from bus.Start) (covered, rest []string) {
	t.Helper()
	start := f.topic(t, "orders.>", group, from).Start
	all := f.subscribe(t, "all-"+group, nil)
	last := f.publish(t, event("last of "+group))[0].Sequence
	if start.Sequence >= last {
		t.Fatalf("start %+v covers an event that was published later", start)
	}
	var ds []*bus.Delivery
	for len(ds) == 0 || ds[len(ds)-1].At.Sequence < last {
		ds = append(ds, f.fetch(t, all, 1)...)
	}
	for _, d := range ds[:len(ds)-1] {
		if start.Covers(d.At) {
			covered = append(covered, d.Event.ID)
		} else if start.Sequence != 0 || !d.At.Stored.Before(start.Stored) {
			rest = append(rest, d.Event.ID)
		}
	}
	if start.Stream != ds[0].At.Stream {
		t.Errorf("start %+v is in another stream than %+v", start, ds[0].At)
	}
	f.resumes(t, group, start, append(rest, "last of "+group))
	return covered, rest
}

// resumes subscribes a group at its watermark: it gets the events wanted, beside some
// that are covered.
func (f *fixture) resumes(t *testing.T, group string, start bus.Position, want []string) {
	t.Helper()
	src := f.subscribe(t, group, &bus.SubscribeOptions{Resume: start})
	var got []string
	for len(got) < len(want) {
		if d := f.fetch(t, src, 1)[0]; !start.Covers(d.At) {
			got = append(got, d.Event.ID)
		}
	}
	equal(t, "events after the start", got, want)
}

func startsEarliest(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	if start := f.topic(t, "orders.>", "g", bus.Start{}).Start; start.Sequence != 0 || !start.Stored.IsZero() {
		t.Errorf("start %+v; want no sequence and no time", start)
	}
	covered, rest := f.split(t, "g", bus.Start{})
	equal(t, "covered", covered, nil)
	equal(t, "rest", rest, []string{"1", "2", "3"})
}

func startsLatest(t *testing.T, f *fixture) {
	if start := f.topic(t, "orders.>", "g", bus.Start{Latest: true}).Start; start.Sequence != 0 {
		t.Errorf("start %+v in an empty stream; want no sequence", start)
	}
	f.publish(t, events(3)...)
	covered, rest := f.split(t, "g", bus.Start{Latest: true})
	equal(t, "covered", covered, []string{"1", "2", "3"})
	equal(t, "rest", rest, nil)
}

func startsAtTime(t *testing.T, f *fixture) {
	for _, e := range events(4) {
		f.publish(t, e)
		pause() // so that their stored times differ on any clock
	}
	ds := f.fetch(t, f.subscribe(t, "look", nil), 4)
	_, rest := f.split(t, "exact", bus.Start{Time: ds[2].At.Stored})
	equal(t, "rest", rest, []string{"3", "4"})
	_, rest = f.split(t, "between", bus.Start{Time: ds[1].At.Stored.Add(1)})
	equal(t, "rest", rest, []string{"3", "4", "last of exact"})
	_, rest = f.split(t, "before-all", bus.Start{Time: ds[0].At.Stored.Add(-time.Hour)})
	equal(t, "rest", rest, []string{"1", "2", "3", "4", "last of exact", "last of between"})
}

func startsKnown(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	f.subscribe(t, "g", nil)
	for _, from := range []bus.Start{{}, {Latest: true}, {Time: time.Now()}} {
		if start := f.topic(t, "orders.>", "g", from).Start; start.Sequence != 0 || !start.Stored.IsZero() {
			t.Errorf("the start of a known group, asked from %+v, is %+v; want earliest", from, start)
		}
	}
}
