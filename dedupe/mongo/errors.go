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
	// ErrNoMatch is returned by UpdateOnce when no document is as the filter asks, and the change
	// was not made before. Nothing was changed. It is an error, so that a handler which does not
	// look for it loses no effect: the event is retried, and dead-lettered at last.
	ErrNoMatch = errors.New("no document matches")
	// ErrStep is returned by UpdateOnce for the second change that a run makes to a document: the
	// mark of the first would be taken for its own.
	ErrStep = errors.New("this run has changed the document before: give each further change of it a name in UpdateOptions.Step, the same in every run; " +
		"and to repeat a run, return from the handler")
	// ErrRingFull is returned by UpdateOnce when the document has as many marks as it may, and none
	// of them can go yet. Nothing was changed, and the call may be repeated.
	ErrRingFull = errors.New("the document has no room for another mark")
)
