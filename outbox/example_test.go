package outbox_test

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// An event that was added is on the bus soon after.
func ExampleDrainer() {
	ctx, cancel := context.WithCancel(context.Background())
	queue, _ := memoutbox.New(nil)
	to, _ := membus.New(nil)
	drainer, _ := outbox.NewDrainer(queue, to, nil)
	ended := make(chan error)
	go func() { ended <- drainer.Run(ctx) }()

	_, _ = queue.Add(ctx, bus.Event{ID: "order-1-placed", Topic: "order.placed", Key: "order-1", Data: []byte("{}")})

	source, _ := to.Subscribe(ctx, "order.>", "billing", nil)
	deliveries, _ := source.Fetch(ctx, 1)
	for len(deliveries) == 0 {
		deliveries, _ = source.Fetch(ctx, 1)
	}
	fmt.Println(deliveries[0].Event.ID)
	_ = deliveries[0].Ack(ctx)
	_ = source.Close(ctx)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// order-1-placed
	// <nil>
}

// A reminder that is due in three days is moved by two more, and cancelled when it has become
// pointless.
func ExampleIn() {
	ctx := context.Background()
	queue, _ := memoutbox.New(nil)
	reminder := bus.Event{ID: "order-17", Topic: "reminder.due", Key: "ada"}
	fmt.Println(queue.AddRows(ctx, outbox.In(3*24*time.Hour, reminder)...))

	row := outbox.RowID(&reminder)
	fmt.Println(queue.Move(ctx, row, time.Now().Add(5*24*time.Hour)))
	fmt.Println(queue.Cancel(ctx, row))
	fmt.Println(queue.Cancel(ctx, row)) // it is gone
	// Output:
	// [order-17] <nil>
	// changed <nil>
	// changed <nil>
	// not found <nil>
}
