package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// A producer that makes up a new id each time may still have a key of the business in its data.
func ExampleOptions_id() {
	ctx := context.Background()
	b, store := setUp()
	done := make(chan struct{})
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(_ context.Context, e bus.Event) error {
			fmt.Println("charging", string(e.Data))
			if e.ID == "message 3" {
				close(done)
			}
			return nil
		}, &consumer.Options{Concurrency: 1, Logger: quiet, ID: func(e bus.Event) string {
			var order struct{ Number string }
			_ = json.Unmarshal(e.Data, &order) // without a number it is dead-lettered
			return order.Number
		}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, data := range []string{`{"Number":"A-1"}`, `{"Number":"A-1"}`, `{"Number":"A-2"}`} {
		id := fmt.Sprint("message ", i+1)
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed", Data: []byte(data)}); err != nil {
			fmt.Println(err)
		}
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// charging {"Number":"A-1"}
	// charging {"Number":"A-2"}
	// drained: <nil>
}

// A producer that encodes its data again must not be taken for one that uses an id twice.
func ExampleCanonicalJSON() {
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
		}, &consumer.Options{Concurrency: 1, Fingerprint: consumer.CanonicalJSON, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range []bus.Event{
		{ID: "order 1", Data: []byte(`{"customer": "ada", "cents": 500}`)},
		{ID: "order 1", Data: []byte(`{"cents":500,"customer":"ada"}`)},
		{ID: "order 2", Data: []byte(`{"cents":700,"customer":"bob"}`)},
	} {
		e.Topic = "order.placed"
		if _, err := b.Publish(ctx, e); err != nil {
			fmt.Println(err)
		}
	}
	<-done
	fmt.Println("drained:", sub.Drain(ctx), "dead:", sub.Stats().Dead)
	// Output:
	// charging for order 1
	// charging for order 2
	// drained: <nil> dead: 0
}

// An id that comes with another payload is no duplicate. Dropping it would lose an event, so it
// is dead-lettered.
func ExampleLetter() {
	ctx := context.Background()
	b, store := setUp()
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
		func(_ context.Context, e bus.Event) error {
			fmt.Println("charging", string(e.Data))
			return nil
		}, &consumer.Options{Concurrency: 1, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	letters, err := b.Subscribe(ctx, "dead.billing", "on-call", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, data := range []string{`{"cents":500}`, `{"cents":900}`} {
		if _, err := b.Publish(ctx, bus.Event{ID: "order 1", Topic: "order.placed", Data: []byte(data)}); err != nil {
			fmt.Println(err)
		}
	}
	var ds []*bus.Delivery
	for len(ds) == 0 && err == nil {
		ds, err = letters.Fetch(ctx, 1)
	}
	letter, err := consumer.ParseLetter(ds[0].Event)
	fmt.Println(letter.Event.ID, string(letter.Event.Data), letter.Reason, err)
	fmt.Println("drained:", sub.Drain(ctx))
	// Output:
	// charging {"cents":500}
	// order 1 {"cents":900} id_reused: the id was used before for an event with another payload <nil>
	// drained: <nil>
}
