package mongo

import (
	"errors"

	"github.com/onceish/onceish/internal/serverclock"
)

var (
	// ErrCollection is returned by New when the collection cannot hold dedupe rows as it is: the
	// message says why, and how to mend it. Nothing was changed.
	ErrCollection = errors.New("collection cannot serve as a dedupe store")
	// ErrClock is returned when the server's clock cannot be told well enough to write a lease. The
	// call is repeated; the next one measures again.
	ErrClock = serverclock.ErrUncertain
)
