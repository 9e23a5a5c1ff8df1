package bench

import "errors"

var (
	// ErrBroken is returned by Run when an event was lost, or was handled twice.
	ErrBroken = errors.New("not every event was handled once")
	// ErrStalled is returned by Run when nothing has happened for half a minute and something is
	// left to do.
	ErrStalled = errors.New("no progress")
	// ErrClock is returned by Run when the clock of the machine has been set back, so that a
	// latency is below zero.
	ErrClock = errors.New("the clock of this machine went back")
)
