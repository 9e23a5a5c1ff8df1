package exec

import "errors"

// ErrUnsupported is returned where commands cannot be run safely.
var ErrUnsupported = errors.New("commands are run on Linux only, where they end with their worker")
