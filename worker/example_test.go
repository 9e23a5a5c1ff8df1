package worker_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker"
)

// order is what this worker is about.
type order struct {
	Cents int `json:"cents"`
}

// setup is what main hands to worker.Main.
func setup(_ context.Context, w *worker.Worker) error {
	w.Handle("order.placed", consumer.JSON(func(_ context.Context, e bus.Event, o order) error {
		fmt.Println("charging", o.Cents, "for order", e.ID)
		return nil
	}), &consumer.Options{Concurrency: 1})
	return nil
}

// A test runs a worker over the bus and the store in memory, until nothing is left to do.
func ExampleOver() {
	ctx := context.Background()
	b, err := membus.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := worker.New("billing", worker.Over(b, store), &worker.Options{UntilEmpty: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := setup(ctx, w); err != nil {
		fmt.Println(err)
	}
	for _, id := range []string{"1", "1", "2"} {
		if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed", Data: []byte(`{"cents":500}`)}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("drained:", w.Run(ctx))
	// Output:
	// charging 500 for order 1
	// charging 500 for order 2
	// drained: <nil>
}

// What a process exits with tells whoever started it whether anything was left behind.
func ExampleExitStatus() {
	for _, err := range []error{nil, fmt.Errorf("no route to host"), worker.ErrUsage, consumer.ErrDrainIncomplete} {
		fmt.Println(worker.ExitStatus(err), err)
	}
	// Output:
	// 0 <nil>
	// 1 no route to host
	// 2 wrong usage
	// 3 drain incomplete
}
