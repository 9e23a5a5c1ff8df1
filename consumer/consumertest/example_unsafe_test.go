package consumertest_test

import (
	"context"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// TestExampleOfAnUnsafeHandler: it charges without a key.
func TestExampleOfAnUnsafeHandler(t *testing.T) {
	var service *payments
	setup := func() []bus.Event {
		service = newPayments()
		return []bus.Event{placed(orderPlaced{Order: "17", Cents: 500})}
	}
	handler := consumer.JSON(func(ctx context.Context, _ bus.Event, o orderPlaced) error {
		return chargeOrder(ctx, service, o, "")
	})

	report := consumertest.CrashPoints(t, setup, handler, func() map[string]int { return service.effects() })

	want := `freeze before the handler (event 17) until another process has handled it: "charge of order 17" repeats: made twice instead of once
freeze before call "charge" (event 17) until another process has handled it: "charge of order 17" repeats: made twice instead of once
lost answer of call "charge" (event 17): "charge of order 17" repeats: made twice instead of once
crash after call "charge" (event 17): "charge of order 17" repeats: made twice instead of once
crash after the handler returned (event 17): "charge of order 17" repeats: made twice instead of once
crash before the mark (event 17): "charge of order 17" repeats: made twice instead of once
11 of 17 points passed; calls seen: charge
repeats: pass consumer.AttemptFrom(ctx).IdempotencyKey, which every run of an event has in common, to what makes the effect, and have that make it once for each key.`
	if report.Once() || report.String() != want {
		t.Errorf("the report is\n%s\nwant\n%s", report, want)
	}
}
