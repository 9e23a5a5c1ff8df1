package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// A failed event is retried, each time with the same idempotency key: a service that knows it
// makes the effect once.
func ExampleAttempt() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	keys := make(map[string]bool)
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, _ bus.Event) error {
			a := consumer.AttemptFrom(ctx)
			keys[a.IdempotencyKey] = true
			fmt.Println("attempt", a.Number, "keys so far:", len(keys))
			if a.Number < 3 {
				return errors.New("the bank is busy")
			}
			close(done)
			return nil
		}, &consumer.Options{Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// attempt 1 keys so far: 1
	// attempt 2 keys so far: 1
	// attempt 3 keys so far: 1
	// drained: <nil>
}

// RetryAfter says when to try again; the attempt counts.
func ExampleRetryAfter() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	var first time.Time
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, _ bus.Event) error {
			n := consumer.AttemptFrom(ctx).Number
			if n == 1 {
				first = time.Now()
				return consumer.RetryAfter(20*time.Millisecond, errors.New("too many requests"))
			}
			fmt.Println("attempt", n, "not before it was told:", time.Since(first) >= 20*time.Millisecond)
			close(done)
			return nil
		}, &consumer.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// attempt 2 not before it was told: true
	// drained: <nil>
}

// Snooze is for what is too early rather than wrong: it counts no attempt.
func ExampleSnooze() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	runs := 0
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, _ bus.Event) error {
			runs++
			fmt.Println("run", runs, "attempt", consumer.AttemptFrom(ctx).Number)
			if runs < 3 {
				return consumer.Snooze(time.Millisecond) // the shop is still closed
			}
			close(done)
			return nil
		}, &consumer.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// run 1 attempt 1
	// run 2 attempt 1
	// run 3 attempt 1
	// drained: <nil>
}

// unreachable is a store that claims can be made in, and not renewed.
type unreachable struct{ *memdedupe.Store }

func (unreachable) Extend(context.Context, []dedupe.Claim, time.Duration, time.Duration) ([]error, error) {
	return nil, errors.New("the network is down")
}

// Who cannot renew a claim loses it, and the handler is told before another process may take over.
// That was no attempt.
func ExampleHandler_leaseLost() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	runs := 0
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", unreachable{store},
		func(ctx context.Context, _ bus.Event) error {
			if runs++; runs == 1 {
				<-ctx.Done()
				fmt.Println("cancelled, the lease is lost:", errors.Is(context.Cause(ctx), consumer.ErrLeaseLost))
				return ctx.Err()
			}
			fmt.Println("attempt", consumer.AttemptFrom(ctx).Number)
			close(done)
			return nil
		}, &consumer.Options{Lease: 200 * time.Millisecond, AckWait: 200 * time.Millisecond, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// cancelled, the lease is lost: true
	// attempt 1
	// drained: <nil>
}

// Unavailable is for what may be everybody's trouble: while the service is away no event uses up
// attempts, and one at a time is tried.
func ExampleUnavailable() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	runs := 0
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, _ bus.Event) error {
			runs++
			fmt.Println("run", runs, "attempt", consumer.AttemptFrom(ctx).Number)
			if runs < 4 {
				return consumer.Unavailable(errors.New("connection refused"))
			}
			close(done)
			return nil
		}, &consumer.Options{
			MaxAttempts: 2, Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}, Logger: quiet,
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// run 1 attempt 1
	// run 2 attempt 1
	// run 3 attempt 1
	// run 4 attempt 1
	// drained: <nil>
}

// Throttled is for who asks to slow down: that is no attempt, and fewer handlers are started.
func ExampleThrottled() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	var first time.Time
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, _ bus.Event) error {
			if first.IsZero() {
				first = time.Now()
				return consumer.Throttled(20*time.Millisecond, errors.New("too many requests"))
			}
			fmt.Println("attempt", consumer.AttemptFrom(ctx).Number, "not before it was told:", time.Since(first) >= 20*time.Millisecond)
			close(done)
			return nil
		}, &consumer.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// attempt 1 not before it was told: true
	// drained: <nil>
}
