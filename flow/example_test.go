package flow_test

import (
	"context"
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
func ExampleTokenBucket() {
	ctx := context.Background()
	rate, err := flow.NewRate(100, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	begin := time.Now()
	for range 4 {
		if err := flow.Wait(ctx, rate, "order.placed", 1); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("two at once, two 10 ms apart:", time.Since(begin) >= 20*time.Millisecond)
	// Output:
	// two at once, two 10 ms apart: true
}
