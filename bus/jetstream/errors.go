package jetstream

import "errors"

// ErrServerTooOld is returned by New when the server that the connection is to is older than OldestServer.
var ErrServerTooOld = errors.New("nats-server is too old")
