package ndjson

import "errors"

// ErrNotStored is returned by Publish when lines are not on the bus, or not known to be.
var ErrNotStored = errors.New("not all lines were stored")
