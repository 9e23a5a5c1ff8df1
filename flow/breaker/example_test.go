package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/flow/breaker"
)

// A breaker in front of a service, without a subscription.
func ExampleBreaker() {
	ctx := context.Background()
	gate, err := breaker.New(&breaker.Options{
		Failures: 2, Wait: 20 * time.Millisecond, RampTo: 2, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gate.Close()
	call := func(result error) {
		leave, err := gate.Enter(ctx) // blocks while the breaker is open
		if err != nil {
			fmt.Println(err)
			return
		}
		leave(result)
	}

	call(errors.New("connection refused"))
	call(errors.New("connection refused"))
	capacity, _ := gate.Capacity()
	fmt.Println(gate.State(), capacity.Limit, capacity.Reason)

	call(nil) // the probe, after the wait
	fmt.Println(gate.State())
	// Output:
	// open 0 breaker open after 2 failures in 1m0s, the last: connection refused
	// closed
}

// A limit that finds out how many calls a service takes at once, without a subscription.
func ExampleAdaptiveLimit() {
	limit, err := breaker.NewAdaptiveLimit(64, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 1_000 { // one after the other: too few to learn from
		leave, err := limit.Enter(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		leave(nil)
	}
	capacity, _ := limit.Capacity()
	fmt.Println(capacity.Limit >= 4, capacity.Limit <= 6, capacity.Reason)
	// Output:
	// true true adaptive
}
