package jetstream

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/natsserver"
)

// ErrServerTooOld is returned by New when the server that the connection is to is older than
// OldestServer.
var ErrServerTooOld = natsserver.ErrTooOld

// ErrSeveralStreams is returned for a topic of which several streams have events, and for which
// Options.Stream names none.
var ErrSeveralStreams = errors.New("the topic is in several streams, and one is read")

// Codes of the server that nats.go has no names for.
const (
	codeNoPeers        jetstream.ErrorCode = 10005 // its description says why
	codeNoResources    jetstream.ErrorCode = 10023
	codeNoStorage      jetstream.ErrorCode = 10047
	codeStoreFailed    jetstream.ErrorCode = 10077
	codeHeaderTooLarge jetstream.ErrorCode = 10097 // over 64 KiB
	codeNotAll         jetstream.ErrorCode = 10099 // another consumer of a work queue has no filter
	codeNotUnique      jetstream.ErrorCode = 10100 // another consumer's filter overlaps
	codeSealed         jetstream.ErrorCode = 10109
	badRequest                             = 400
)
