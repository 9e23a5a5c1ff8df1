package chaos

import "errors"

// ErrViolation is returned by Result.Err when a promise was broken.
var ErrViolation = errors.New("a promise was broken")
