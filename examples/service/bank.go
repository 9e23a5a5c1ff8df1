package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

const topic = "order.placed"

type order struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
}

// bank stands for the service that takes the money. As such services do, it knows an idempotency
// key again, and closes the gap that a crash between a charge and its mark leaves.
type bank struct {
	charged sync.Map // idempotency keys
}

// charge is the handler.
func (b *bank) charge(ctx context.Context, e bus.Event, o order) error {
	if o.Cents <= 0 {
		return consumer.Permanent(fmt.Errorf("order %s is for %d cents", e.ID, o.Cents))
	}
	if _, again := b.charged.LoadOrStore(consumer.AttemptFrom(ctx).IdempotencyKey, true); !again {
		slog.Info("charged", "order", e.ID, "cents", o.Cents)
	}
	return nil
}
