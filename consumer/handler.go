package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
)

// Handler makes an event's effect. It returns nil once the effect is made, and an error to have the
// event retried; Permanent, RetryAfter, Snooze, Throttled and Unavailable say how. A panic is an
// error. Many goroutines call a Handler at once, each for another event.
//
// ctx ends when the claim is lost, at the run limit, and when draining takes too long;
// context.Cause says which. A handler that does not end with its ctx keeps its slot, and may
// overlap the event's next run.
type Handler func(ctx context.Context, e bus.Event) error

// Middleware wraps a Handler.
type Middleware func(Handler) Handler

// JSON returns a Handler that decodes an event's data into T and calls f. An event whose data does
// not decode is dead-lettered, not retried.
func JSON[T any](f func(ctx context.Context, e bus.Event, v T) error) Handler {
	return func(ctx context.Context, e bus.Event) error {
		var v T
		if err := json.Unmarshal(e.Data, &v); err != nil {
			return Permanent(fmt.Errorf("decode the data as %T: %w", v, err))
		}
		return f(ctx, e, v)
	}
}

func wrapHandler(h Handler, use []Middleware) Handler {
	for _, m := range slices.Backward(use) {
		h = m(h)
	}
	return h
}
