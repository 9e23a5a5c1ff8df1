package handlers

import "errors"

var (
	// ErrUnsupported is returned where commands cannot be run: elsewhere than on Linux.
	ErrUnsupported = errors.New("commands are run on Linux only, where they end with their worker")
	// ErrNoAttempt is returned by handlers that need an idempotency key when their context has
	// no consumer.Attempt.
	ErrNoAttempt = errors.New("the context has no consumer.Attempt, which a subscription puts there: use consumer.WithAttempt in tests")
)
