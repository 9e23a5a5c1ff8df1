package natsserver

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream returns the API in a domain, or under a prefix, with or without the dot at its end. At
// most one of the two is set; neither is the server's own.
func JetStream(nc *nats.Conn, domain, prefix string, o ...jetstream.JetStreamOpt) (jetstream.JetStream, error) {
	switch {
	case domain != "":
		return jetstream.NewWithDomain(nc, domain, o...)
	case prefix != "":
		return jetstream.NewWithAPIPrefix(nc, strings.TrimSuffix(prefix, "."), o...)
	}
	return jetstream.New(nc, o...)
}
