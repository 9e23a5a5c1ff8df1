package filestore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/examples/filestore"
)

// Two processes after one another get the same events; the second recognises what the
// first has handled.
func Example() {
	dir, err := os.MkdirTemp("", "filestore")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Println("first process")
	process(filepath.Join(dir, "marks"), "order 1", "order 2")
	fmt.Println("second process")
	process(filepath.Join(dir, "marks"), "order 1", "order 2", "order 3")
	// Output:
	// first process
	// charging for order 1
	// charging for order 2
	// second process
	// charging for order 3
}

// process handles events, the last of which is new, from a bus that knows nothing of the
// process before.
func process(marks string, ids ...string) {
	ctx := context.Background()
	store, err := filestore.Open(marks)
	if err != nil {
		panic(err)
	}
	defer func() { _ = store.Close() }()
	b, err := membus.New(nil)
	if err != nil {
		panic(err)
	}
	for _, id := range ids {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed"}); err != nil {
			panic(err)
		}
	}
	last := make(chan struct{})
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store, func(_ context.Context, e bus.Event) error {
		fmt.Println("charging for", e.ID)
		if e.ID == ids[len(ids)-1] {
			close(last)
		}
		return nil
	}, &consumer.Options{Mode: consumer.SeenMark, Concurrency: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	<-last
	if err := sub.Drain(ctx); err != nil {
		panic(err)
	}
}
