package consumer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
)

// The processes of a group share the partitions of a topic. Here there is one process, whose hooks
// are where it would load and store the state of a partition.
func ExamplePartitions() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b, store := setUp()
	members, err := memgroup.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := group.Join(ctx, members, "ledger", &group.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	left := make(chan error, 1)
	go func() { left <- session.Run(ctx) }()

	done := make(chan struct{})
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "account", "ledger", store,
		func(ctx context.Context, e bus.Event) error {
			p, _ := consumer.PartitionFrom(ctx)
			fmt.Println(e.ID, "of", e.Key, "in partition", p.Number)
			if e.ID == "closed" {
				close(done)
			}
			return nil
		}, &consumer.Options{
			Order:   consumer.Partitions(1), // more in earnest, and as many for publishers
			Session: session,
			Assigned: func(_ context.Context, p consumer.Partition) error {
				fmt.Println("assigned: partition", p.Number, "of", p.Topic)
				return nil
			},
			Revoked: func(_ context.Context, p consumer.Partition) error {
				fmt.Println("revoked: partition", p.Number, "of", p.Topic)
				return nil
			},
			Logger: quiet,
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher := bus.Partitioned(b, 1)
	for _, id := range []string{"opened", "closed"} {
		if _, err := publisher.Publish(ctx, bus.Event{ID: id, Topic: "account", Key: "account 17"}); err != nil {
			fmt.Println(err)
		}
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	cancel()
	<-left
	// Output:
	// assigned: partition 0 of account
	// opened of account 17 in partition 0
	// closed of account 17 in partition 0
	// revoked: partition 0 of account
	// drained: <nil>
}

// A batch is made of events that are in flight at once. Each has a result of its own.
func ExampleBatch() {
	ctx := context.Background()
	b, store := setUp()
	for _, id := range []string{"1", "2", "3"} {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed", Key: "customer " + id}); err != nil {
			fmt.Println(err)
		}
	}
	done := make(chan struct{})
	insertAll := func(_ context.Context, es []bus.Event) []error {
		defer close(done)
		fmt.Println("insert", len(es), "orders")
		results := make([]error, len(es))
		results[1] = consumer.Permanent(fmt.Errorf("order %s has no price", es[1].ID)) // it alone is dead-lettered
		return results
	}
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "archive", store,
		consumer.Batch(insertAll, &consumer.BatchOptions{Size: 3, Wait: time.Minute}),
		&consumer.Options{Concurrency: 3, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	stats := sub.Stats()
	fmt.Println("handled:", stats.Handled, "dead:", stats.Dead)
	// Output:
	// insert 3 orders
	// drained: <nil>
	// handled: 2 dead: 1
}
