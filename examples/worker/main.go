// Command worker shows an idempotent worker binary: a handler, and worker.Main around it. It
// charges each order once, however often it is published and however often this process is killed.
// It needs a NATS server:
//
//	NATS_URL=nats://localhost:4222 go run ./examples/worker --provision
//
// --help lists the rest. Events are JSON, such as {"customer":"ada","cents":500}, on the
// topic order.placed.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
)

func main() {
	worker.Main("billing", func(_ context.Context, w *worker.Worker) error {
		w.Handle("order.placed", consumer.JSON(charge), nil)
		return nil
	})
}

type order struct {
	Customer string `json:"customer"`
	Cents    int    `json:"cents"`
}

// charge hands the bank the idempotency key, so that a crash between the charge and its mark
// charges nobody twice.
func charge(ctx context.Context, e bus.Event, o order) error {
	if o.Cents <= 0 {
		return consumer.Permanent(fmt.Errorf("order %s is for %d cents", e.ID, o.Cents))
	}
	return bank(consumer.AttemptFrom(ctx).IdempotencyKey, o)
}

// bank stands for the service that takes the money.
func bank(key string, o order) error {
	_, err := fmt.Fprintf(os.Stdout, "charged %s %d cents under %.8s\n", o.Customer, o.Cents, key)
	return err
}
