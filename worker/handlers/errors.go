package handlers

import "errors"

// ErrUnsupported is returned where commands cannot be run: elsewhere than on Linux.
var ErrUnsupported = errors.New("commands are run on Linux only, where they end with their worker")
