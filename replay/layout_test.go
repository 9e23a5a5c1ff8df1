package replay_test

import (
	"strconv"
	"testing"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/replay"
)

// keyed are events of a topic, with keys.
func keyed(topic string, n int) (events []bus.Event) {
	for i := range n {
		events = append(events, bus.Event{Topic: topic, ID: strconv.Itoa(i), Key: "key-" + strconv.Itoa(i%7), Data: []byte("data")})
	}
	return events
}

// wantPlaced wants the events of a topic, and nothing else, where the layout has them.
func wantPlaced(t *testing.T, b *membus.Bus, pattern string, layout bus.Layout, events []bus.Event) {
	t.Helper()
	stored := readAll(t, b, pattern)
	found := make(map[string]int)
	for _, s := range stored {
		found[s.Event.Topic+" "+s.Event.ID]++
	}
	for _, e := range events {
		if at := layout.Place(e).Topic; found[at+" "+e.ID] != 1 {
			t.Errorf("event %s is at %s %d times, want once; stored: %v", e.ID, at, found[at+" "+e.ID], found)
		}
	}
	if len(stored) != len(events) {
		t.Errorf("%d events at %s, want %d", len(stored), pattern, len(events))
	}
}

// What lies outside of the layout that a group reads is moved into it, from the topic itself and
// from another layout, and a repeat moves nothing twice.
func TestEventsMoveToAnotherLayoutOfTheirTopic(t *testing.T) {
	inBubble(t, func(w *harness) {
		of8, of16 := bus.Layout{"orders.new": 8}, bus.Layout{"orders.new": 16}
		events := keyed("orders.new", 30)
		publish(w.t, w.bus, events...)
		for range 2 {
			n, err := replay.ToTopic(w.t.Context(), w.bus, "orders.new", bus.Range{}, "orders.new", &replay.Options{Layout: of8})
			must(w.t, err)
			if n.Stored != len(events) {
				t.Errorf("%+v", n)
			}
		}
		wantPlaced(t, w.bus, "orders.new.of8.>", of8, events)
		_, err := replay.ToTopic(w.t.Context(), w.bus, "orders.new.of8.>", bus.Range{}, "orders.new", &replay.Options{Layout: of16})
		must(w.t, err)
		wantPlaced(t, w.bus, "orders.new.of16.>", of16, events)
		for from, layout := range map[string]bus.Layout{"orders.new.of8.>": of8, "orders.new.of8.3": of8, "orders.new": {"other": 8}} {
			if n, err := replay.ToTopic(w.t.Context(), w.bus, from, bus.Range{}, "orders.new", &replay.Options{Layout: layout}); err == nil || n.Stored > 0 {
				t.Errorf("%s to %v: %+v, %v; want a refusal", from, layout, n, err)
			}
		}
	})
}

// Copies for a group go to the layout that it reads, whatever layout they were read in.
func TestCopiesForAGroupGoToItsLayout(t *testing.T) {
	inBubble(t, func(w *harness) {
		events := keyed("orders.new", 20)
		publish(w.t, w.bus, events...)
		of8 := bus.Layout{"orders.new": 8}
		_, err := replay.ToGroup(w.t.Context(), w.bus, "orders.new", bus.Range{}, "billing", &replay.Options{Layout: of8})
		must(w.t, err)
		wantPlaced(t, w.bus, "orders.new.of8.>", of8, events)
		for _, s := range readAll(t, w.bus, "orders.new.of8.>") {
			if c, err := s.Event.Control(); err != nil || c.Group != "billing" {
				t.Errorf("%+v, %v; want a copy for billing alone", c, err)
			}
		}
	})
}
