package chaos

import "errors"

var (
	// ErrViolation is returned by Result.Err when a promise was broken.
	ErrViolation = errors.New("a promise was broken")
	// ErrLeft is returned by Run when something is left that it has made, on a server or on disk.
	ErrLeft = errors.New("not everything could be removed")
)
