package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
)

// Events with one key run one after the other, also while the first of them is tried again.
func ExampleSubscribeExactlyOnce_order() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "account", "ledger", store,
		func(ctx context.Context, e bus.Event) error {
			fmt.Println(e.ID, "attempt", consumer.AttemptFrom(ctx).Number)
			switch {
			case e.ID == "opened" && consumer.AttemptFrom(ctx).Number == 1:
				return errors.New("the database is busy")
			case e.ID == "closed":
				close(done)
			}
			return nil
		}, &consumer.Options{Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"opened", "credited", "closed"} {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "account", Key: "account 17"}); err != nil {
			fmt.Println(err)
		}
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// opened attempt 1
	// opened attempt 2
	// credited attempt 1
	// closed attempt 1
	// drained: <nil>
}

// Drain waits for what runs, marks and acknowledges it. What was not begun is left to other
// processes of the group.
func ExampleSubscription_Drain() {
	ctx := context.Background()
	b, store := setUp()
	begun := make(chan struct{})
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, e bus.Event) error {
			close(begun)
			time.Sleep(50 * time.Millisecond) // a slow bank
			fmt.Println("charged for", e.ID, "and not cancelled:", ctx.Err() == nil)
			return nil
		}, &consumer.Options{Drain: 10 * time.Second, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	<-begun
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// charged for order 1 and not cancelled: true
	// drained: <nil>
}

// A middleware wraps the handler; it sees the verdict of each run.
func ExampleMiddleware() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	audited := func(next consumer.Handler) consumer.Handler {
		return func(ctx context.Context, e bus.Event) error {
			err := next(ctx, e)
			fmt.Println("audit:", e.ID, err)
			close(done)
			return err
		}
	}
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(_ context.Context, e bus.Event) error {
			fmt.Println("charging for", e.ID)
			return nil
		}, &consumer.Options{Use: []consumer.Middleware{audited}, Logger: quiet})
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
	// charging for order 1
	// audit: order 1 <nil>
	// drained: <nil>
}

// A limit spreads runs over time. Duplicates cost nothing of it.
func ExampleOptions_limit() {
	ctx := context.Background()
	b, store := setUp()
	limit, err := flow.NewLocal(flow.Rate{Limit: 50, Per: time.Second, Burst: 1}, nil) // 20 ms apart
	if err != nil {
		fmt.Println(err)
		return
	}
	started := make(chan time.Time)
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(context.Context, bus.Event) error {
			started <- time.Now()
			return nil
		}, &consumer.Options{Limit: limit, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	begin := time.Now()
	for _, id := range []string{"order 1", "order 2", "order 3"} {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed"}); err != nil {
			fmt.Println(err)
		}
	}
	<-started
	<-started
	fmt.Println("the third starts 40 ms later:", (<-started).Sub(begin) >= 40*time.Millisecond)
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// the third starts 40 ms later: true
	// drained: <nil>
}
