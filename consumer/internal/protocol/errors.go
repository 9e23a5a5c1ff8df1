package protocol

import "errors"

var (
	// ErrLeaseLost is the cause of a run whose claim is over or superseded.
	ErrLeaseLost = errors.New("lease lost: the claim is over, or another process has it")
	// ErrRunLimit is the cause of a run that took longer than Config.RunLimit.
	ErrRunLimit = errors.New("run limit reached")
	// ErrHalted is the cause of a wait (limit, gate) that a pause or a drain ended.
	ErrHalted = errors.New("paused or draining")
)
