package bustest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func deduplication() []promise {
	return []promise{
		{name: "an event published again is a duplicate, and stored once", keeps: storesOnce},
		{name: "a dead letter published again is a duplicate, whatever else it says", keeps: storesLetterOnce},
		{name: "an id on another topic, of another source, with another payload is another event", keeps: swallowsNothing},
		{
			name: "an id is new again after the duplicate window", keeps: forgetsIDs,
			stream: Stream{DuplicateWindow: time.Second},
		},
	}
}

// again publishes an event that is known under the sequence.
func (f *fixture) again(t *testing.T, e bus.Event, sequence uint64) {
	t.Helper()
	receipts, err := f.bus.Publish(t.Context(), e)
	if err != nil {
		t.Fatalf("Publish again: %v", err)
	}
	if r := receipts[0]; !r.Duplicate || r.Sequence != sequence {
		t.Fatalf("the same event again: %+v; want a duplicate of sequence %d", r, sequence)
	}
}

func storesOnce(t *testing.T, f *fixture) {
	first := f.publish(t, event("1"), event("2"))
	f.again(t, event("1"), first[0].Sequence)
	f.again(t, event("2"), first[1].Sequence)
	named := event("1")
	named.Source = bus.DefaultSource
	f.again(t, named, first[0].Sequence)
	later := event("1")
	later.Time, later.Key, later.Headers = time.Now(), "k", bus.Headers{"Traceparent": {"00-1"}}
	f.again(t, later, first[0].Sequence)

	receipts, err := f.bus.Publish(t.Context(), event("3"), event("3"))
	if err != nil || receipts[0].Duplicate == receipts[1].Duplicate || receipts[0].Sequence != receipts[1].Sequence {
		t.Fatalf("one event twice in a call: %+v, %v; want it stored once", receipts, err)
	}
	f.publish(t, event("4"))
	src := f.subscribe(t, "g", nil)
	wantIDs(t, f.fetch(t, src, 4), "1", "2", "3", "4")
}

func storesLetterOnce(t *testing.T, f *fixture) {
	letter := func(id, data string) bus.Event {
		return bus.Event{ID: "1", Topic: "orders.dead", Data: []byte(data)}.WithControl(bus.Control{Letter: id})
	}
	first := f.publish(t, letter("g/s/1", "payload"))
	f.again(t, letter("g/s/1", "payload, and another stack"), first[0].Sequence)
	f.publish(t, letter("g/s/2", "payload"))
	f.fetch(t, f.subscribe(t, "g", nil), 2)
}

func swallowsNothing(t *testing.T, f *fixture) {
	topic, source, payload, redriven, letter := event("1"), event("1"), event("1"), event("1"), event("1")
	topic.Topic = "orders.changed"
	source.Source = "/elsewhere"
	payload.Data = []byte("another")
	redriven = redriven.WithControl(bus.Control{Redriven: "g/s/1"})
	letter = letter.WithControl(bus.Control{Letter: "g/s/1"})
	again, more := event("1").WithControl(bus.Control{Copy: "1"}), event("1").WithControl(bus.Control{Copy: "2"})
	// Ids that a careless encoding of topic, source and id mixes up.
	long, longer := event(string(make([]byte, 600))), event(string(make([]byte, 601)))
	es := []bus.Event{
		event("1"), topic, source, payload, redriven, letter, again, more, long, longer,
		event("/elsewhere:1"), event("{/elsewhere}1"), event("%31"), event("1 "),
	}
	f.publish(t, es...)
	f.fetch(t, f.subscribe(t, "g", nil), len(es))
}

func forgetsIDs(t *testing.T, f *fixture) {
	first := f.publish(t, event("1"))
	f.again(t, event("1"), first[0].Sequence)
	for limit := time.Now().Add(f.h.Patience); ; pause() {
		receipts, err := f.bus.Publish(t.Context(), event("1"))
		if err != nil {
			t.Fatalf("Publish: %v", err)
		}
		if !receipts[0].Duplicate {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the id is still known")
		}
	}
	f.fetch(t, f.subscribe(t, "g", nil), 2)
}
