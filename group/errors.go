package group

import "errors"

var (
	// ErrInvalid is returned when an argument or a field of Options is out of bounds.
	ErrInvalid = errors.New("invalid argument")
	// ErrConflict is returned by a Store when a row is not at the expected revision.
	ErrConflict = errors.New("row is at another revision")
	// ErrSuperseded is returned by Pause and Resume when another request for the same scope was
	// stored while members confirmed. What it asked for holds.
	ErrSuperseded = errors.New("superseded by a later pause or resume")
	// ErrUnconfirmed is returned by Pause and Resume when members had not confirmed in time. What
	// was asked for is stored, and holds for each of them as soon as it reads it.
	ErrUnconfirmed = errors.New("not every member has confirmed")
	// ErrHeld is returned by Acquire when another process holds the lease.
	ErrHeld = errors.New("lease is held by another process")
	// ErrLost is returned for a lease that has ended before it was released.
	ErrLost = errors.New("lease was lost")
	// ErrReleased is returned for a lease that was released.
	ErrReleased = errors.New("lease was released")
	// ErrLeft is returned by a Session that has left its group.
	ErrLeft = errors.New("session has left its group")
)
