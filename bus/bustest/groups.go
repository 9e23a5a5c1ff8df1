package bustest

import (
	"testing"

	"github.com/onceish/onceish/bus"
)

func groups() []promise {
	return []promise{
		{name: "every group gets every event", keeps: everyGroup},
		{name: "sources of one group share its deliveries", keeps: sharesDeliveries},
		{name: "a group goes on where its last source left it", keeps: goesOn},
		{name: "a group has a cursor of its own on each topic", keeps: cursorPerTopic},
		{name: "groups and topics of similar names are apart", keeps: namesApart},
		{name: "a pattern delivers what it matches, each under its own topic", keeps: patterns},
		{
			name: "a topic may be one of several of a stream", keeps: severalTopics,
			stream: Stream{Topics: []string{"orders.new", "orders.*.eu", "invoices.>"}},
		},
	}
}

func everyGroup(t *testing.T, f *fixture) {
	a, b := f.subscribe(t, "a", nil), f.subscribe(t, "b", nil)
	f.publish(t, events(3)...)
	ds := f.fetch(t, a, 3)
	wantIDs(t, ds, "1", "2", "3")
	ack(t, ds...)
	f.idle(t, a)
	wantIDs(t, f.fetch(t, b, 3), "1", "2", "3")
	wantIDs(t, f.fetch(t, f.subscribe(t, "c", nil), 3), "1", "2", "3")
}

func sharesDeliveries(t *testing.T, f *fixture) {
	a, b := f.subscribe(t, "g", nil), f.subscribe(t, "g", nil)
	f.publish(t, events(6)...)
	first := f.fetch(t, a, 3)
	second := f.fetch(t, b, 3)
	wantIDs(t, append(first, second...), "1", "2", "3", "4", "5", "6")
	ack(t, first...)
	ack(t, second...)
	f.idle(t, a)
	f.publish(t, event("7"))
	wantIDs(t, f.fetch(t, b, 1), "7")
}

func goesOn(t *testing.T, f *fixture) {
	f.publish(t, events(4)...)
	src := f.subscribe(t, "g", nil)
	ack(t, f.fetch(t, src, 2)...)
	f.readOut(t, src)
	if err := src.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ds := f.fetch(t, f.subscribe(t, "g", nil), 2)
	wantIDs(t, ds, "3", "4")
	if ds[0].Arrivals != 1 {
		t.Errorf("an event that nobody saw counts %d arrivals", ds[0].Arrivals)
	}
}

func cursorPerTopic(t *testing.T, f *fixture) {
	f.publish(t, events(2)...)
	all, some := f.subscribe(t, "g", nil), f.subscribeTo(t, "orders.new", "g", nil)
	ack(t, f.fetch(t, all, 2)...)
	f.idle(t, all)
	wantIDs(t, f.fetch(t, some, 2), "1", "2")
}

func namesApart(t *testing.T, f *fixture) {
	topics := []string{"orders.a.b", "orders.a_b", "orders.a-b", "orders.A.b"}
	for _, topic := range topics {
		f.publish(t, bus.Event{ID: topic, Topic: topic})
	}
	plain := []string{"g", "G", "g_a", "g-a"}
	odd := []string{"g.a", "g a", "g/a", "g*", "g>", "g%2E", "g=", "ü"}
	for _, topic := range topics {
		for i, group := range append(plain, odd...) {
			src, err := f.bus.Subscribe(t.Context(), topic, group, nil)
			if err != nil && i >= len(plain) {
				continue // a bus may refuse odd names, but not mix them up
			} else if err != nil {
				t.Fatalf("Subscribe(%q, %q): %v", topic, group, err)
			}
			ds := f.fetch(t, src, 1)
			wantIDs(t, ds, topic)
			if ds[0].Arrivals != 1 {
				t.Errorf("group %q on %q gets another's redelivery", group, topic)
			}
			if err := src.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
}

func patterns(t *testing.T, f *fixture) {
	published := []string{"orders.new", "orders.eu.new", "orders.eu.old", "orders.us.new", "orders.eu.new.vip"}
	var es []bus.Event
	for _, topic := range published {
		es = append(es, bus.Event{ID: topic, Topic: topic})
	}
	f.publish(t, es...)
	for _, pattern := range []string{"orders.>", "orders.*", "orders.*.new", "orders.eu.*", "orders.eu.>", "orders.new"} {
		var want []string
		for _, topic := range published {
			if bus.Match(pattern, topic) {
				want = append(want, topic)
			}
		}
		src := f.subscribeTo(t, pattern, "g", nil)
		ds := f.fetch(t, src, len(want))
		wantIDs(t, ds, want...)
		for i, d := range ds {
			if d.Event.Topic != want[i] {
				t.Errorf("%q delivers %q under topic %q", pattern, d.Event.ID, d.Event.Topic)
			}
		}
		ack(t, ds...)
		f.info(t, src, "nothing pending", func(i bus.Info) bool { return i.Pending == 0 && i.Unsettled == 0 })
	}
}

func severalTopics(t *testing.T, f *fixture) {
	published := []string{"orders.new", "orders.changed.eu", "invoices.paid.eu"}
	for _, topic := range published {
		f.publish(t, bus.Event{ID: "1", Topic: topic})
	}
	for _, topic := range published {
		ds := f.fetch(t, f.subscribeTo(t, topic, "g", nil), 1)
		if ds[0].Event.Topic != topic {
			t.Errorf("%q delivers from %q", topic, ds[0].Event.Topic)
		}
	}
}
