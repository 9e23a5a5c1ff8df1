package consumer_test

import (
	"context"
	"fmt"

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
