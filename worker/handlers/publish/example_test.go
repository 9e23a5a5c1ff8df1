package publish_test

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/worker/handlers/publish"
)

// running is the context that a subscription gives to the run of an event.
func running(e bus.Event, group string) context.Context {
	return consumer.WithAttempt(context.Background(), consumer.Attempt{
		Number: 1, IdempotencyKey: "0123456789abcdef", Key: dedupe.Key{Topic: e.Topic, Group: group, ID: e.Identity()},
	})
}

// An event that is published twice, because the first confirmation was lost, is on the
// other topic once.
func ExampleHandler() {
	b, err := membus.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := publish.New(b, "invoice.due")
	if err != nil {
		fmt.Println(err)
		return
	}
	e := bus.Event{ID: "17", Topic: "order.placed", Data: []byte(`{"cents":5}`)}
	for range 2 {
		fmt.Println(h.Handle(running(e, "billing"), e))
	}
	ctx := context.Background()
	source, err := b.Subscribe(ctx, "invoice.due", "accounting", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close(ctx)
	deliveries, _ := source.Fetch(ctx, 10)
	for _, d := range deliveries {
		fmt.Println(d.Event.ID, d.Event.Headers.Get(publish.HeaderOriginTopic), string(d.Event.Data))
	}
	// Output:
	// <nil>
	// <nil>
	// order.placed::billing::17 order.placed {"cents":5}
}
