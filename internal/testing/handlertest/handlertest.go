// Package handlertest has what tests of handlers hand to them.
package handlertest

import (
	"context"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// Placed is an event like any other.
func Placed() bus.Event {
	return bus.Event{ID: "order-17", Topic: "order.placed", ContentType: "application/json", Data: []byte(`{"cents":5}`)}
}

// Attempt is the context of a run of Placed.
func Attempt(t testing.TB, number int) context.Context {
	t.Helper()
	return consumer.WithAttempt(t.Context(), consumer.Attempt{
		Number: number, IdempotencyKey: "0123456789abcdef", Key: dedupe.Key{Topic: "order.placed", Group: "billing", ID: "order-17"},
	})
}
