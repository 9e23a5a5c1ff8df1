package flow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/flow"
)

// While a switch is shut, nobody gets through.
func ExampleSwitch() {
	var gate flow.Switch
	gate.Shut()
	soon, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := gate.Enter(soon)
	fmt.Println("shut:", err)

	gate.Open()
	leave, err := gate.Enter(context.Background())
	fmt.Println("open:", err)
	leave(nil) // what became of it
	// Output:
	// shut: context deadline exceeded
	// open: <nil>
}

// A rate lets a burst through at once, and spreads what follows.
func ExampleNewLocal() {
	ctx := context.Background()
	limit, err := flow.NewLocal(flow.Rate{Limit: 100, Per: time.Second, Burst: 2}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	begin := time.Now()
	for range 4 {
		if err := flow.Wait(ctx, limit, "", 1); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("two at once, two 10 ms apart:", time.Since(begin) >= 19*time.Millisecond)
	// Output:
	// two at once, two 10 ms apart: true
}

// Each key has a limit of its own.
func ExampleLocal_keyed() {
	ctx := context.Background()
	limit, err := flow.NewLocal(flow.Rate{Limit: 2, Per: time.Hour, Strategy: flow.SlidingLog}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tenant := range []string{"acme", "acme", "acme", "globex"} {
		d, err := limit.Allow(ctx, tenant, 1)
		fmt.Println(tenant, d.Allowed, d.Remaining, err)
	}
	// Output:
	// acme true 1 <nil>
	// acme true 0 <nil>
	// acme false 0 <nil>
	// globex true 1 <nil>
}

// A queue refuses what would wait too long.
func ExampleQueue() {
	ctx := context.Background()
	limit, err := flow.NewLocal(flow.Rate{Limit: 1, Per: time.Hour}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	queue, err := flow.NewQueue(limit, 1000, 10*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(queue.Wait(ctx, "report", 1))
	fmt.Println("too long:", errors.Is(queue.Wait(ctx, "report", 1), flow.ErrWaitTooLong))
	// Output:
	// <nil>
	// too long: true
}
