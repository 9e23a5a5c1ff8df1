package bus_test

import (
	"fmt"

	"github.com/onceish/onceish/bus"
)

// A group that subscribes to a pattern receives what matches it.
func ExampleMatch() {
	for _, pattern := range []string{"order.placed", "order.*", "order.>", "*.placed"} {
		fmt.Println(pattern, bus.Match(pattern, "order.placed"), bus.Match(pattern, "order.eu.placed"))
	}
	// Output:
	// order.placed true false
	// order.* true false
	// order.> true true
	// *.placed true false
}

// Two shops that both count their orders from 1 have different events.
func ExampleEvent_Identity() {
	ours := bus.Event{ID: "1"}
	same := bus.Event{ID: "1", Source: bus.DefaultSource}
	theirs := bus.Event{ID: "1", Source: "https://shop.example"}
	fmt.Println(ours.Identity() == same.Identity(), ours.Identity() == theirs.Identity())
	// Output:
	// true false
}

// A bus that knows message ids swallows a copy, and neither another payload under the same id nor
// the same id on another topic.
func ExampleMessageID() {
	e := bus.Event{ID: "1", Topic: "order.placed", Data: []byte(`{"cents":500}`)}
	again, changed, elsewhere := e, e, e
	changed.Data = []byte(`{"cents":900}`)
	elsewhere.Topic = "order.billed"
	for _, other := range []bus.Event{again, changed, elsewhere} {
		fmt.Println(bus.MessageID(&e) == bus.MessageID(&other))
	}
	// Output:
	// true
	// false
	// false
}

// All events of a customer are in one partition, whoever publishes them. To consumers they are of
// one topic.
func ExamplePartition() {
	p := bus.Partition{Topic: "order.placed", Of: 8, Number: bus.PartitionOf("customer-17", 8)}
	fmt.Println(p.Name(), bus.LogicalTopic(p.Name()))
	mapped := p.Name() + "." + bus.KeyToken("customer-17") // by a subject transform
	key, _ := bus.PartitionKey(mapped)
	fmt.Println(key, bus.LogicalTopic(mapped))
	// Output:
	// order.placed.of8.0 order.placed
	// customer-17 order.placed
}
