package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

// What is nacked is redelivered, and counts; what is acknowledged does not.
func Example() {
	ctx := context.Background()
	b, err := membus.New(nil)
	if err != nil {
		panic(err)
	}
	source, err := b.Subscribe(ctx, "orders.>", "billing", nil)
	if err != nil {
		panic(err)
	}
	defer source.Close(ctx)

	order := bus.Event{ID: "order-17", Topic: "orders.placed", Data: []byte(`{"cents":5}`)}
	receipts, err := b.Publish(ctx, order, order)
	fmt.Println(receipts[0].Duplicate, receipts[1].Duplicate, err)

	deliveries, _ := source.Fetch(ctx, 10)
	fmt.Println(deliveries[0].Event.ID, deliveries[0].Arrivals)
	_ = deliveries[0].Nak(ctx, 0)

	deliveries, _ = source.Fetch(ctx, 10)
	fmt.Println(deliveries[0].Event.ID, deliveries[0].Arrivals)
	_ = deliveries[0].Ack(ctx)

	info, _ := source.Info(ctx)
	fmt.Println("settled up to", info.Floor, "unsettled", info.Unsettled)
	// Output:
	// false true <nil>
	// order-17 1
	// order-17 2
	// settled up to 1 unsettled 0
}

// A simulation moves a clock of its own, and takes what is deliverable at once.
func ExampleSource_TryFetch() {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	b, err := membus.New(&membus.Options{Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	subscribed, err := b.Subscribe(ctx, "orders.placed", "billing", &bus.SubscribeOptions{AckWait: time.Minute})
	if err != nil {
		panic(err)
	}
	source := subscribed.(*membus.Source)
	_, _ = b.Publish(ctx, bus.Event{ID: "order-17", Topic: "orders.placed"})

	for range 3 {
		deliveries, _ := source.TryFetch(10)
		fmt.Println(now.Format(time.TimeOnly), len(deliveries))
		now = now.Add(30 * time.Second)
	}
	// Output:
	// 00:00:00 1
	// 00:00:30 0
	// 00:01:00 1
}
