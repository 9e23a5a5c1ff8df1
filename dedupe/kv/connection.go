package kv

import (
	"time"

	"github.com/onceish/onceish/internal/natsserver"
)

// warnOfPings warns once when leases may end before the connection notices that its
// server is frozen.
func (s *Store) warnOfPings(lease time.Duration) {
	o := &s.nc.Opts
	if !natsserver.NoticesTooLate(o, lease) || s.warnedOfPings.Swap(true) {
		return
	}
	do := "connect with jetstream.ConnectionOptions for this lease, or raise it"
	if natsserver.NoticesAsEarlyAsPossible(o, lease) {
		do = "raise the lease"
	}
	s.log.Warn("a frozen NATS server is noticed so late that leases end first, and their events run again: "+do,
		"lease", lease, "at_least", natsserver.ShortestLength(o), "noticed_within", natsserver.NoticesWithin(o), "bucket", s.bucket)
}
