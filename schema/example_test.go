package schema_test

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/schema"
	memschema "github.com/onceish/onceish/schema/memory"
)

// A version that would break consumers is not added, and an event that would is not published.
func Example() {
	ctx, store := context.Background(), memschema.New()
	order := schema.Subject{Topic: "order.placed"}
	_, err := schema.Add(ctx, store, order, []byte(`{"properties": {"total": {"type": "integer"}}}`), nil)
	if err != nil {
		fmt.Println(err)
	}
	_, err = schema.Add(ctx, store, order, []byte(`{"properties": {"total": {"type": "string"}}}`), nil)
	fmt.Println(err)

	events, err := membus.New(nil)
	if err != nil {
		fmt.Println(err)
	}
	registry, err := schema.NewRegistry(store, nil)
	if err != nil {
		fmt.Println(err)
	}
	publisher, err := schema.NewPublisher(events, registry, nil)
	if err != nil {
		fmt.Println(err)
	}
	_, err = publisher.Publish(ctx, bus.Event{ID: "1", Topic: "order.placed", Data: []byte(`{"total": "7"}`)})
	fmt.Println(err)
	// Output:
	// schema is not compatible: order.placed, version 2, compatibility backward; version 2 does not read version 1, at /properties/total/type: it is string, and version 1 writes integer
	// event "1": event violates its schema: order.placed, version 1, at /total: it is string, want integer
}
