package consumertest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// TestExampleOfOutcomes: a handler that is asked to wait, and one event that it can never handle.
func TestExampleOfOutcomes(t *testing.T) {
	handler := consumer.JSON(func(ctx context.Context, _ bus.Event, o orderPlaced) error {
		switch {
		case o.Cents < 0:
			return consumer.Permanent(errors.New("the amount is negative"))
		case consumer.AttemptFrom(ctx).Number == 1:
			return consumer.RetryAfter(time.Hour, errors.New("the service is closed"))
		}
		return nil
	})

	outcomes := consumertest.Run(t, handler, placed(orderPlaced{Order: "17", Cents: 500}), placed(orderPlaced{Order: "18", Cents: -1}))

	if o := outcomes[0]; o.Verdict != consumertest.Handled || o.Attempts != 2 || o.Took < time.Hour {
		t.Errorf("order 17: %+v", o)
	}
	if o := outcomes[1]; o.Verdict != consumertest.DeadLettered || o.Letter.Reason != "permanent: the amount is negative" {
		t.Errorf("order 18: %+v", o)
	}
}
