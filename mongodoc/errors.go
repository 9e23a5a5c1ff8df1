package mongodoc

import "errors"

var (
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
