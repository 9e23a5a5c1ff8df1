package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

type observerFunc func(consumer.Observation)

func (f observerFunc) Observe(o consumer.Observation) { f(o) }

// A bulk insert takes the events that wait in one call, and says for each what became of it: one
// that fails costs its own attempts, and the others are done.
func ExampleBatch() {
	ctx := context.Background()
	b, store := setUp()
	insertAll := func(ctx context.Context, es []bus.Event) []error {
		results := make([]error, len(es))
		for i, a := range consumer.BatchAttempts(ctx) {
			switch es[i].ID {
			case "order 2":
				results[i] = consumer.Permanent(errors.New("there is no such customer"))
			case "order 3":
				if a.Number == 1 {
					results[i] = consumer.RetryAfter(time.Millisecond, errors.New("the row is locked"))
				}
			}
		}
		return results
	}
	var over sync.WaitGroup
	over.Add(4)
	var mu sync.Mutex
	ended := make(map[string]consumer.Observation)
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		consumer.Batch(insertAll, &consumer.BatchOptions{Size: 4, Wait: 50 * time.Millisecond}),
		&consumer.Options{Concurrency: 4, Logger: quiet, Observer: observerFunc(func(o consumer.Observation) {
			if o.Outcome == consumer.OutcomeHandled || o.Outcome == consumer.OutcomeDead {
				mu.Lock()
				defer mu.Unlock()
				ended[o.Key.ID] = o
				over.Done()
			}
		})})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := []string{"order 1", "order 2", "order 3", "order 4"}
	for _, id := range ids {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed"}); err != nil {
			fmt.Println(err)
		}
	}
	over.Wait()
	fmt.Println("drained:", sub.Drain(ctx))
	for _, id := range ids {
		fmt.Println(id, "is", ended[id].Outcome, "at attempt", ended[id].Attempt)
	}
	// Output:
	// drained: <nil>
	// order 1 is handled at attempt 1
	// order 2 is dead at attempt 1
	// order 3 is handled at attempt 2
	// order 4 is handled at attempt 1
}
