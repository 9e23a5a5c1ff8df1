package deadletter

import "errors"

var (
	// ErrSuperseded is returned when a letter is to be redriven or edited that was edited since:
	// the edit is redriven in its place. Once the edit is dropped the letter is what it was.
	ErrSuperseded = errors.New("the letter is superseded by an edit")
	// ErrNoLetter is returned by Find when there is no letter of the ID.
	ErrNoLetter = errors.New("no letter")
	// ErrAmbiguous is returned by Find when an event has several letters.
	ErrAmbiguous = errors.New("more than one letter")
)
