package demo

import "errors"

var (
	// ErrBroken is returned by Result.Err when an event is lost, or was repeated without a reason.
	ErrBroken = errors.New("the promise is broken")
	// ErrStalled is returned by Run, beside what was counted, when nothing has happened for half a
	// minute and something is left to do.
	ErrStalled = errors.New("the workers make no progress")
)
