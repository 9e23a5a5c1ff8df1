package jetstream

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/natsserver"
)

// OldestServer is the oldest release of nats-server that New takes.
const OldestServer = natsserver.Oldest

// exactCreation is the release since which a consumer keeps its time of creation when its server,
// if it is no cluster, starts again.
const exactCreation = "2.14.0"

// exactFilters is the release since which a consumer with several filters delivers what they cover,
// and nothing else.
const exactFilters = "2.11.4"

// knowsSeveralFilters reports whether the server is one of these.
func (b *Bus) knowsSeveralFilters() bool {
	return !natsserver.Older(b.nc.ConnectedServerVersion(), exactFilters)
}

// ConnectionOptions are the options of nats.Connect that a connection for a bus needs, for leases
// and ack deadlines of this length (zero: the default, 30 s). It reconnects for ever, also after
// logins that were refused, and notices within a third of a lease that its server is frozen. Add a
// name, credentials and handlers of your own.
func ConnectionOptions(lease time.Duration) []nats.Option { return natsserver.ConnectionOptions(lease) }

// warnOfConnection warns of options of a connection that lose it for good.
func (b *Bus) warnOfConnection() {
	o := &b.nc.Opts
	if !o.AllowReconnect || o.MaxReconnect >= 0 {
		b.log.Warn("the NATS connection gives up reconnecting: connect with jetstream.ConnectionOptions, or nats.MaxReconnects(-1)",
			"reconnect", o.AllowReconnect, "max_reconnects", o.MaxReconnect)
	}
	if !o.IgnoreAuthErrorAbort {
		b.log.Warn("the NATS connection is closed for good once a server has refused its login twice: connect with jetstream.ConnectionOptions, or nats.IgnoreAuthErrorAbort()")
	}
}

// warnOfPings warns that a frozen server is noticed too late for a group's deliveries.
func (b *Bus) warnOfPings(ackWait time.Duration) {
	o := &b.nc.Opts
	if !natsserver.NoticesTooLate(o, ackWait) {
		return
	}
	do := "connect with jetstream.ConnectionOptions for this ack wait, or raise it"
	if natsserver.NoticesAsEarlyAsPossible(o, ackWait) {
		do = "raise the ack wait"
	}
	b.log.Warn("a frozen NATS server is noticed so late that its deliveries expire and are repeated: "+do,
		"ack_wait", ackWait, "at_least", natsserver.ShortestLength(o), "noticed_within", natsserver.NoticesWithin(o))
}
