package mongo

import (
	"errors"

	"github.com/onceish/onceish/internal/serverclock"
)

var (
	// ErrNoTransaction is returned by Add and AddRows when there is no transaction in their ctx.
	// AddAlone needs none.
	ErrNoTransaction = errors.New("no transaction in progress")
	// ErrCollection is returned by New when the collection cannot hold an outbox as it is: the
	// message says why, and how to mend it. Nothing was changed.
	ErrCollection = errors.New("collection cannot serve as an outbox")
	// ErrClock is returned when the server's clock cannot be told well enough to give a row its
	// time. The call is repeated; the next one measures again.
	ErrClock = serverclock.ErrUncertain
)
