package group_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
)

// A pause has returned when each process of the group has confirmed that it starts nothing more.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := memgroup.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := group.Join(ctx, store, "billing", &group.Options{
		Apply: func(paused []group.Paused) {
			_, is := group.PauseFor(paused, "order.placed")
			fmt.Println("order.placed is paused:", is)
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Run(ctx) }()

	result, err := group.Pause(ctx, store, "billing", group.Request{For: 10 * time.Minute, Reason: "database upgrade", By: "ada"})
	fmt.Println("confirmed by", len(result.Confirmed), "missing", len(result.Missing), err)
	result, err = group.Resume(ctx, store, "billing", group.Request{By: "ada"})
	fmt.Println("confirmed by", len(result.Confirmed), "missing", len(result.Missing), err)

	cancel()
	fmt.Println(<-ended)
	// Output:
	// order.placed is paused: true
	// confirmed by 1 missing 0 <nil>
	// order.placed is paused: false
	// confirmed by 1 missing 0 <nil>
	// <nil>
}

// The partitions of a topic are shared by the processes that are assigned to it. Here there is one,
// which is drained.
func ExampleSession_Assign() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := memgroup.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := group.Join(ctx, store, "billing", &group.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Run(ctx) }()

	owned := make(chan int)
	assignment, err := session.Assign("order.placed", 2, &group.AssignmentOptions{
		Run: func(ctx context.Context, o *group.Ownership) {
			owned <- o.Partition()
			<-ctx.Done() // works until then
			fmt.Println(context.Cause(ctx))
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("owns", <-owned+<-owned+1, "partitions")
	fmt.Println("drained", assignment.Drain(ctx))
	cancel()
	fmt.Println(<-ended)
	// Output:
	// owns 2 partitions
	// partition is handed over
	// partition is handed over
	// drained <nil>
	// <nil>
}
