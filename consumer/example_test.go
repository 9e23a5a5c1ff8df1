package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// setUp returns a bus and a store in memory; a service has natsbus.New and mongodedupe.New here.
func setUp() (*membus.Bus, *memdedupe.Store) {
	b, err := membus.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		panic(err)
	}
	return b, store
}

var quiet = slog.New(slog.DiscardHandler)

// An event that is published three times has its effect once.
func ExampleSubscribeExactlyOnce() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(_ context.Context, e bus.Event) error {
			fmt.Println("charging for", e.ID)
			if e.ID == "order 2" {
				close(done)
			}
			return nil
		}, &consumer.Options{Concurrency: 1, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"order 1", "order 1", "order 1", "order 2"} {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed"}); err != nil {
			fmt.Println(err)
		}
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// charging for order 1
	// charging for order 2
	// drained: <nil>
}

// A failed event is retried under the same idempotency key; what can never succeed is
// dead-lettered.
func ExamplePermanent() {
	ctx := context.Background()
	b, store := setUp()
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(ctx context.Context, _ bus.Event) error {
			if n := consumer.AttemptFrom(ctx).Number; n < 3 {
				return consumer.RetryAfter(time.Millisecond, fmt.Errorf("attempt %d: the bank is busy", n))
			}
			return consumer.Permanent(errors.New("the account is closed"))
		}, &consumer.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	letters, err := b.Subscribe(ctx, "dead.billing", "on-call", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	var ds []*bus.Delivery
	for len(ds) == 0 && err == nil {
		ds, err = letters.Fetch(ctx, 1)
	}
	letter, err := consumer.ParseLetter(ds[0].Event)
	fmt.Println(letter.Event.ID, "from", letter.Event.Topic, "after", letter.Attempts, "attempts:", letter.Reason, err)
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// order 1 from order.placed after 3 attempts: permanent: the account is closed <nil>
	// drained: <nil>
}

// Once Pause has returned, no handler starts until Resume.
func ExampleSubscription_Pause() {
	ctx := context.Background()
	b, store := setUp()
	handled := make(chan string)
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(_ context.Context, e bus.Event) error {
			handled <- e.ID
			return nil
		}, &consumer.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	sub.Pause()
	if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed"}); err != nil {
		fmt.Println(err)
	}
	select {
	case id := <-handled:
		fmt.Println("handled while paused:", id)
	case <-time.After(50 * time.Millisecond):
		fmt.Println("nothing starts")
	}
	sub.Resume()
	fmt.Println("handled", <-handled)
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// nothing starts
	// handled order 1
	// drained: <nil>
}

// A handler is a function, and is tested as one.
func ExampleWithAttempt() {
	type order struct{ Cents int }
	charge := consumer.JSON(func(ctx context.Context, e bus.Event, o order) error {
		fmt.Println("charging", o.Cents, "for", e.ID, "under", consumer.AttemptFrom(ctx).IdempotencyKey)
		return nil
	})
	ctx := consumer.WithAttempt(context.Background(), consumer.Attempt{Number: 1, IdempotencyKey: "key"})
	fmt.Println(charge(ctx, bus.Event{ID: "order 1", Data: []byte(`{"Cents":5}`)}))
	fmt.Println(consumer.IsPermanent(charge(ctx, bus.Event{ID: "order 2", Data: []byte(`{`)})))
	// Output:
	// charging 5 for order 1 under key
	// <nil>
	// true
}
