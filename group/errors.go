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
	// ErrRevoked is the cause of the end of a Run whose partition is to be handed over: it finishes
	// in order, and returns.
	ErrRevoked = errors.New("partition is handed over")
	// ErrPartitionLost is the cause of the end of a Run whose partition another process may own
	// already: it starts nothing more.
	ErrPartitionLost = errors.New("partition was lost")
	// ErrOtherLayout is returned by Assignment.Err while live members work on the topic in another
	// number of partitions.
	ErrOtherLayout = errors.New("live members have another number of partitions")
	// ErrNoStore is returned by a Store that was answered that it does not exist, and cannot make
	// it. Nobody else can change a row either.
	ErrNoStore = errors.New("group store does not exist")
)
