// Package handlertest has what tests of handlers hand to them.
package handlertest

import (
	"context"
	"errors"
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

// What an error of a handler may mean.
const (
	Done        = "done"
	Retry       = "retry"
	Throttled   = "throttled"
	Unavailable = "unavailable"
	Refused     = "refused"
	Permanent   = "permanent"
)

// MeaningOf tells what a subscription takes an error for.
func MeaningOf(err error) string {
	switch {
	case err == nil:
		return Done
	case consumer.IsPermanent(err):
		return Permanent
	case consumer.IsThrottled(err):
		return Throttled
	case consumer.IsUnavailable(err):
		for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
			if consumer.IsPermanent(inner) {
				return Refused
			}
		}
		return Unavailable
	}
	return Retry
}

// Finished is told how an event ended.
type Finished chan string

// Observe implements consumer.Observer.
func (e Finished) Observe(o consumer.Observation) {
	if o.Outcome == consumer.OutcomeHandled || o.Outcome == consumer.OutcomeDead {
		e <- string(o.Outcome)
	}
}
