package deadletter

import "errors"

// ErrSuperseded is returned when a letter is to be redriven or edited that was edited since: the
// edit is redriven in its place. Once the edit is dropped the letter is what it was.
var ErrSuperseded = errors.New("the letter is superseded by an edit")
