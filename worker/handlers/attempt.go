package handlers

import (
	"context"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// requireAttempt is the run that ctx belongs to. Without one there is nothing that makes a repeat
// known as one.
func requireAttempt(ctx context.Context) (consumer.Attempt, error) {
	a := consumer.AttemptFrom(ctx)
	if a.IdempotencyKey == "" && a.Key == (dedupe.Key{}) {
		return a, ErrNoAttempt
	}
	return a, nil
}
