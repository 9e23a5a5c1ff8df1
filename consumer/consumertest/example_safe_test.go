package consumertest_test

import (
	"context"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// TestExampleOfASafeHandler: it passes the event's idempotency key on.
func TestExampleOfASafeHandler(t *testing.T) {
	var service *payments
	setup := func() []bus.Event {
		service = newPayments()
		return []bus.Event{placed(orderPlaced{Order: "17", Cents: 500}), placed(orderPlaced{Order: "18", Cents: 700})}
	}
	handler := consumer.JSON(func(ctx context.Context, _ bus.Event, o orderPlaced) error {
		return chargeOrder(ctx, service, o, consumer.AttemptFrom(ctx).IdempotencyKey)
	})

	report := consumertest.CrashPoints(t, setup, handler, func() map[string]int { return service.effects() })

	if !report.Once() {
		t.Error(report)
	}
	if want := "32 of 32 points passed; calls seen: charge"; report.String() != want {
		t.Errorf("the report is\n%s\nwant\n%s", report, want)
	}
}
