package natsserver

import (
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// DefaultLease is what connections are made for unless something else is said: the default
	// lease and ack deadline.
	DefaultLease = 30 * time.Second
	// pingsOut is how many pings of ConnectionOptions a server may leave unanswered.
	pingsOut                  = 2
	minInterval               = 500 * time.Millisecond
	maxInterval               = 10 * time.Second
	noticed     time.Duration = 3 // a frozen server is noticed after at most this part of a lease
)

// ConnectionOptions are the options of a connection that outlives whatever happens to its servers:
// it reconnects for ever, also after logins that were refused, and notices within a third of a
// lease that a server is frozen. So there is time to renew leases and deadlines of this length over
// another server. Zero: DefaultLease.
func ConnectionOptions(lease time.Duration) []nats.Option {
	if lease <= 0 {
		lease = DefaultLease
	}
	interval := pingInterval(lease)
	return []nats.Option{
		nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.PingInterval(interval), nats.MaxPingsOutstanding(pingsOut),
		nats.ReconnectWait(min(time.Second, interval)),
	}
}

func pingInterval(lease time.Duration) time.Duration {
	return min(max(lease/noticed/(pingsOut+1), minInterval), maxInterval)
}

// NoticesWithin is how long a server may be frozen before a connection with these options notices.
func NoticesWithin(o *nats.Options) time.Duration {
	return o.PingInterval * time.Duration(o.MaxPingsOut+1)
}

// NoticesTooLate reports whether leases or deadlines of this length may end before the connection
// notices that its server is frozen, finds another one, and has renewed them: it must notice within
// half of them.
func NoticesTooLate(o *nats.Options, length time.Duration) bool { return NoticesWithin(o) > length/2 }

// ShortestLength is the length from which on NoticesTooLate is false for a connection with
// these options.
func ShortestLength(o *nats.Options) time.Duration { return 2 * NoticesWithin(o) }

// NoticesAsEarlyAsPossible reports whether ConnectionOptions for this length would
// notice no earlier.
func NoticesAsEarlyAsPossible(o *nats.Options, length time.Duration) bool {
	return NoticesWithin(o) <= pingInterval(length)*(pingsOut+1)
}
