package jetstream

import "github.com/onceish/onceish/internal/natsserver"

// ErrServerTooOld is returned by New when the server that the connection is to is older
// than OldestServer.
var ErrServerTooOld = natsserver.ErrTooOld
